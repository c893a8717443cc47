"""Provisions an instance: nested spans with attributes of every type, an event, an exception and a link, sent as
gzipped OTLP/HTTP protobuf to OTEL_EXPORTER_OTLP_ENDPOINT.

Continues the trace of the TRACEPARENT variable, if it is set. Prints the report line when everything was exported.
"""

import os
import sys
import time
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from report import Recorder

# The order that led here was placed in a trace of its own, which nobody sends to the backend.
ORDER = SpanContext(
    trace_id=0x4BF92F3577B34DA6A3CE929D0E0E4736,
    span_id=0x00F067AA0BA902B7,
    is_remote=True,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
)


class QuotaExceeded(Exception):
    """The region has no room for another instance of this size."""


class CheckedExporter(SpanExporter):
    """Passes batches on and remembers a failed one, which the SDK would only log."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self.failed = self.failed or result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def provision(tracer: trace.Tracer) -> SpanContext:
    """Returns the context of the outermost span."""
    context = TraceContextTextMapPropagator().extract({"traceparent": os.environ.get("TRACEPARENT", "")})
    with tracer.start_as_current_span(
        "ProvisionInstance",
        context=context,
        kind=SpanKind.CONSUMER,
        links=[Link(ORDER, {"link.reason": "order"})],
        attributes={
            "instance.engine": "mysql",
            "instance.region": "ap-south-1",
            "dbaas.instance.id": "my-19c",
            "instance.replicas": 3,
            "instance.storage_bytes": 2**53 + 1,
            "instance.clock_offset_ns": -1,
            "instance.public": False,
            "instance.vcpus": 1.5,
            "instance.zones": ["a", "b", "ц"],
            "instance.ports": [3306, 33060],
            "instance.weights": [0.25, 0.75],
            "instance.flags": [True, False],
            "instance.note": "",
        },
    ) as span:
        with tracer.start_as_current_span("Allocate resources"):
            with tracer.start_as_current_span("Create PVC", kind=SpanKind.CLIENT) as pvc:
                pvc.add_event("volume bound", {"volume.name": "pvc-01", "volume.size_bytes": 107_374_182_400})
                time.sleep(0.003)
                pvc.set_status(Status(StatusCode.OK))
            try:
                # Leaving the block by an exception records it and sets the status.
                with tracer.start_as_current_span("Create StatefulSet"):
                    raise QuotaExceeded("3 instances asked for, 1 left in ap-south-1")
            except QuotaExceeded as quota:
                span.set_status(Status(StatusCode.ERROR, str(quota)))
        return span.get_span_context()


def main() -> int:
    exporter = CheckedExporter(OTLPSpanExporter(compression=Compression.Gzip))
    recorder = Recorder()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "dbaas-provisioner", "service.version": "0.9.0"}), shutdown_on_exit=False
    )
    provider.add_span_processor(recorder)
    provider.add_span_processor(BatchSpanProcessor(exporter))

    outermost = provision(provider.get_tracer("dbaas-provisioner", "0.9.0"))
    provider.shutdown()
    if exporter.failed:
        print("provision: an export failed; the log above says why", file=sys.stderr)
        return 1
    recorder.print("python", outermost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
