// Package telemetry sets the OpenTelemetry SDK up the way a service does: OTLP over gRPC to OTEL_EXPORTER_OTLP_ENDPOINT,
// W3C trace context, a batch processor. Unlike a service it treats an export that failed as fatal: Flush returns it.
package telemetry

import (
	"context"
	"errors"
	"os"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"spanhold.test/clients/internal/report"
)

// Telemetry is a running tracer provider.
type Telemetry struct {
	// Recorder knows every span that ended.
	Recorder *report.Recorder
	provider *trace.TracerProvider
	failures *failures
}

// Start installs a global tracer provider and propagator for the service named so.
func Start(ctx context.Context, service string) (*Telemetry, error) {
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, err
	}
	described, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(
			attribute.String("service.name", service),
			attribute.String("service.version", "1.4.2"),
			attribute.String("deployment.environment.name", "test"),
		),
	)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{Recorder: &report.Recorder{}, failures: &failures{}}
	t.provider = trace.NewTracerProvider(
		trace.WithResource(described),
		trace.WithSpanProcessor(t.Recorder),
		trace.WithBatcher(exporter),
	)
	otel.SetTracerProvider(t.provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	// Partial success and refused exports are told only to this handler.
	otel.SetErrorHandler(t.failures)
	return t, nil
}

// Flush exports what is buffered and shuts the provider down. It returns every error that the SDK reported so far.
func (t *Telemetry) Flush(ctx context.Context) error {
	return errors.Join(t.provider.ForceFlush(ctx), t.provider.Shutdown(ctx), t.failures.joined())
}

// FromEnvironment continues the trace of the TRACEPARENT variable, if it is set.
func FromEnvironment(ctx context.Context) context.Context {
	carrier := propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT")}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

// failures collects what the SDK would otherwise only log.
type failures struct {
	mu     sync.Mutex
	errors []error
}

// Handle implements otel.ErrorHandler.
func (f *failures) Handle(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, err)
}

func (f *failures) joined() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errors...)
}
