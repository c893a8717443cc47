/**
 * Answers a user of the web console: nested spans with attributes of every type, an event, an exception and a link, sent
 * as OTLP/HTTP JSON to OTEL_EXPORTER_OTLP_ENDPOINT.
 *
 * Continues the trace of the TRACEPARENT variable, if it is set. Prints the report line when everything was exported.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, context, defaultTextMapGetter, trace } from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { Recorder } from './report.js';

// The alert that brought the user here belongs to a trace of its own, which nobody sends to the backend.
const ALERT = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: TraceFlags.SAMPLED,
};

/** Passes batches on and remembers why one failed, which the SDK would only log. */
class CheckedExporter {
  failure = null;

  constructor(exporter) {
    this.exporter = exporter;
  }

  export(spans, done) {
    this.exporter.export(spans, (result) => {
      if (result.code !== ExportResultCode.SUCCESS) this.failure = result.error ?? new Error('the export failed');
      done(result);
    });
  }

  forceFlush() {
    return this.exporter.forceFlush();
  }

  shutdown() {
    return this.exporter.shutdown();
  }
}

/** Returns the context of the outermost span. */
async function showInstance(tracer) {
  const carrier = { traceparent: process.env.TRACEPARENT ?? '' };
  const caller = new W3CTraceContextPropagator().extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
  const options = {
    kind: SpanKind.SERVER,
    links: [{ context: ALERT, attributes: { 'link.reason': 'alert' } }],
    attributes: {
      'http.request.method': 'GET',
      'url.path': '/instances/pg-7f2',
      'dbaas.instance.id': 'pg-7f2',
      'console.rows': 250,
      'console.largest_id': Number.MAX_SAFE_INTEGER,
      'console.offset': -1,
      'console.cached': false,
      'console.score': 0.125,
      'console.columns': ['name', 'state', 'регион'],
      'console.ports': [5432, 6432],
      'console.flags': [true, false],
      'console.note': '',
    },
  };
  return tracer.startActiveSpan('GET /instances/{id}', options, caller, async (span) => {
    await tracer.startActiveSpan('load instance', { kind: SpanKind.CLIENT }, async (load) => {
      load.addEvent('cache missed', { 'cache.key': 'instance:pg-7f2', 'cache.entries': 12 });
      await sleep(3);
      load.setStatus({ code: SpanStatusCode.OK });
      load.end();
    });
    await tracer.startActiveSpan('load metrics', async (load) => {
      const refused = new RangeError('the window of 400 days exceeds the retention of 90 days');
      load.recordException(refused);
      load.setStatus({ code: SpanStatusCode.ERROR, message: refused.message });
      load.end();
    });
    span.end();
    return span.spanContext();
  });
}

const exporter = new CheckedExporter(new OTLPTraceExporter());
const recorder = new Recorder();
const provider = new NodeTracerProvider({
  resource: defaultResource().merge(resourceFromAttributes({ 'service.name': 'dbaas-console', 'service.version': '3.1.0' })),
  spanProcessors: [recorder, new BatchSpanProcessor(exporter)],
});
provider.register();

const outermost = await showInstance(trace.getTracer('dbaas-console', '3.1.0'));
// The outcome of the export is read below: what shutdown makes of it differs between versions of the SDK.
await provider.shutdown().catch(() => {});
context.disable();
if (exporter.failure) {
  console.error(`console: ${exporter.failure.message}`);
  process.exit(1);
}
recorder.print('javascript', outermost);
