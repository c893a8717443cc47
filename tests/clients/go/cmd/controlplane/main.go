// Command controlplane backs an instance up: it validates the request, has the agent in another process execute the
// backup, and has it upload the result, which fails. All of it is one trace whose root is `CreateBackup`.
//
// It prints the report line when everything was exported.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"spanhold.test/clients/internal/agentrpc"
	"spanhold.test/clients/internal/telemetry"
)

// timeout covers the whole run: two short calls and a flush, all on one machine.
const timeout = 30 * time.Second

var tracer = otel.Tracer("dbaas-control-plane", trace.WithInstrumentationVersion("1.4.2"))

func main() {
	agent := flag.String("agent", "", "address of the agent, as it printed it")
	flag.Parse()
	if *agent == "" {
		log.Fatal("controlplane: give the agent's address with -agent")
	}
	if err := run(*agent); err != nil {
		log.Fatalf("controlplane: %v", err)
	}
}

func run(agent string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	running, err := telemetry.Start(ctx, "dbaas-control-plane")
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(agent,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
	)
	if err != nil {
		return err
	}
	defer connection.Close()

	root := createBackup(telemetry.FromEnvironment(ctx), agentrpc.NewClient(connection))
	if err := running.Flush(ctx); err != nil {
		return err
	}
	return running.Recorder.Print(os.Stdout, "go-control-plane", root)
}

// createBackup returns the context of its span. Its own failure is part of the trace, not an error of this program.
func createBackup(ctx context.Context, agent *agentrpc.Client) trace.SpanContext {
	const instance = "pg-7f2"
	ctx, span := tracer.Start(ctx, "CreateBackup",
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("instance.engine", "postgresql"),
			attribute.String("instance.region", "eu-central-1"),
			attribute.String("dbaas.instance.id", instance),
			attribute.Int64("backup.retention_days", 14),
			attribute.Bool("backup.encrypted", true),
			attribute.Float64("backup.rate_limit_mib", 87.5),
			attribute.StringSlice("backup.databases", []string{"orders", "users", "журнал"}),
		),
	)
	defer span.End()

	validate(ctx)
	size, err := agent.ExecuteBackup(ctx, instance)
	if err == nil {
		span.SetAttributes(attribute.Int64("backup.size_bytes", size))
		err = agent.UploadBackup(ctx, instance)
	}
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	return span.SpanContext()
}

func validate(ctx context.Context) {
	_, span := tracer.Start(ctx, "API validation")
	defer span.End()
	time.Sleep(2 * time.Millisecond)
}
