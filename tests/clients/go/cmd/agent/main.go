// Command agent executes a control plane's commands next to a database instance, each in a span that continues the
// caller's trace.
//
// It prints `listening ADDRESS`, and once it has answered -commands commands (or was interrupted) it flushes and prints
// the report line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"spanhold.test/clients/internal/agentrpc"
	"spanhold.test/clients/internal/telemetry"
)

// flushTimeout is generous: the backend is on the same machine.
const flushTimeout = 15 * time.Second

// errReset is how an upload to an unreachable object store ends.
var errReset = errors.New("upload part 3: connection reset by peer")

var tracer = otel.Tracer("dbaas-agent")

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve gRPC on")
	commands := flag.Int("commands", 0, "leave after so many commands; 0 serves until interrupted")
	flag.Parse()
	if err := run(*listen, *commands); err != nil {
		log.Fatalf("agent: %v", err)
	}
}

func run(listen string, commands int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	running, err := telemetry.Start(ctx, "dbaas-agent")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	executed := &agent{answered: make(chan trace.SpanContext)}
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	agentrpc.Register(server, executed)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Printf("listening %s\n", listener.Addr())

	var last trace.SpanContext
	for answered := 0; commands == 0 || answered < commands; answered++ {
		select {
		case last = <-executed.answered:
			continue
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		break
	}
	// Ends the server spans of calls that are being answered.
	server.GracefulStop()

	flushed, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := running.Flush(flushed); err != nil {
		return err
	}
	return running.Recorder.Print(os.Stdout, "go-agent", last)
}

// agent implements agentrpc.Agent.
type agent struct{ answered chan trace.SpanContext }

func (a *agent) ExecuteBackup(ctx context.Context, instance *wrapperspb.StringValue) (*wrapperspb.Int64Value, error) {
	_, span := tracer.Start(ctx, "agent.ExecuteBackup", trace.WithAttributes(
		attribute.String("dbaas.instance.id", instance.GetValue()),
		attribute.String("backup.kind", "full"),
	))
	defer a.ended(span)

	span.AddEvent("starting pg_basebackup")
	time.Sleep(20 * time.Millisecond)
	const size int64 = 42_949_672_960
	span.AddEvent("backup completed", trace.WithAttributes(attribute.Int64("backup.size_bytes", size)))
	return wrapperspb.Int64(size), nil
}

func (a *agent) UploadBackup(ctx context.Context, instance *wrapperspb.StringValue) (*emptypb.Empty, error) {
	_, span := tracer.Start(ctx, "agent.UploadBackup", trace.WithAttributes(
		attribute.String("dbaas.instance.id", instance.GetValue()),
		attribute.Int("backup.upload.part", 3),
	))
	defer a.ended(span)

	time.Sleep(5 * time.Millisecond)
	span.RecordError(errReset, trace.WithStackTrace(true))
	span.SetStatus(codes.Error, errReset.Error())
	return nil, status.Error(grpccodes.Unavailable, errReset.Error())
}

// ended ends the span and counts the command.
func (a *agent) ended(span trace.Span) {
	span.End()
	go func() { a.answered <- span.SpanContext() }()
}
