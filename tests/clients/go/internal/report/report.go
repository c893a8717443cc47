// Package report remembers every span that a process ended and prints them as one line of JSON, so that a test can compare
// what the SDK was told with what the backend answers.
//
// It is a span processor beside the exporter and shares nothing with it: what it prints never went over the wire.
// The Python and JavaScript clients print the same shape; it is described in tests/clients/README.md.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Line is what a client prints when it is done.
type Line struct {
	Client      string `json:"client"`
	TraceID     string `json:"trace_id"`
	Traceparent string `json:"traceparent"`
	// Resource is the one that every span of the process belongs to.
	Resource []KeyValue `json:"resource"`
	Spans    []Span     `json:"spans"`
}

// Span is an ended span in the words of Spanhold's HTTP API: ids in hex, nanoseconds as strings, values in OTLP's JSON form.
type Span struct {
	SpanID        string     `json:"span_id"`
	ParentSpanID  *string    `json:"parent_span_id"`
	Service       string     `json:"service"`
	Scope         Scope      `json:"scope"`
	Name          string     `json:"name"`
	Kind          string     `json:"kind"`
	StartUnixNano string     `json:"start_unix_nano"`
	EndUnixNano   string     `json:"end_unix_nano"`
	Status        Status     `json:"status"`
	Attributes    []KeyValue `json:"attributes"`
	Events        []Event    `json:"events"`
	Links         []Link     `json:"links"`
}

// Scope is the instrumentation scope, which a tracer is named after.
type Scope struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Status has the code as "unset", "ok" or "error".
type Status struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Event is something that happened while its span ran.
type Event struct {
	TimeUnixNano string     `json:"time_unix_nano"`
	Name         string     `json:"name"`
	Attributes   []KeyValue `json:"attributes"`
}

// Link points to a span, usually of another trace.
type Link struct {
	TraceID    string     `json:"trace_id"`
	SpanID     string     `json:"span_id"`
	Attributes []KeyValue `json:"attributes"`
}

// KeyValue is an attribute; its value has exactly one field, named after its type as in OTLP's JSON.
type KeyValue struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

// Recorder is a span processor that keeps every ended span.
type Recorder struct {
	mu       sync.Mutex
	resource []KeyValue
	spans    []Span
}

// OnStart does nothing: a span is described once it has ended.
func (r *Recorder) OnStart(context.Context, trace.ReadWriteSpan) {}

// OnEnd keeps the span.
func (r *Recorder) OnEnd(span trace.ReadOnlySpan) {
	described := describe(span)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resource = keyValues(span.Resource().Attributes())
	r.spans = append(r.spans, described)
}

// Shutdown does nothing: the spans stay readable after the provider was shut down.
func (r *Recorder) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing: nothing is buffered.
func (r *Recorder) ForceFlush(context.Context) error { return nil }

// Print writes the one line. `last` is the span context that another process would continue from.
func (r *Recorder) Print(out io.Writer, client string, last oteltrace.SpanContext) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := Line{
		Client:      client,
		TraceID:     last.TraceID().String(),
		Traceparent: fmt.Sprintf("00-%s-%s-%s", last.TraceID(), last.SpanID(), last.TraceFlags()),
		Resource:    r.resource,
		Spans:       r.spans,
	}
	return json.NewEncoder(out).Encode(line)
}

func describe(span trace.ReadOnlySpan) Span {
	described := Span{
		SpanID:        span.SpanContext().SpanID().String(),
		Scope:         Scope{Name: span.InstrumentationScope().Name, Version: span.InstrumentationScope().Version},
		Name:          span.Name(),
		Kind:          span.SpanKind().String(),
		StartUnixNano: unixNano(span.StartTime()),
		EndUnixNano:   unixNano(span.EndTime()),
		Status:        Status{Code: statusCode(span.Status().Code), Message: span.Status().Description},
		Attributes:    keyValues(span.Attributes()),
		Events:        []Event{},
		Links:         []Link{},
	}
	if span.Parent().SpanID().IsValid() {
		parent := span.Parent().SpanID().String()
		described.ParentSpanID = &parent
	}
	if service, ok := span.Resource().Set().Value("service.name"); ok {
		described.Service = service.AsString()
	}
	for _, event := range span.Events() {
		described.Events = append(described.Events, Event{
			TimeUnixNano: unixNano(event.Time),
			Name:         event.Name,
			Attributes:   keyValues(event.Attributes),
		})
	}
	for _, link := range span.Links() {
		described.Links = append(described.Links, Link{
			TraceID:    link.SpanContext.TraceID().String(),
			SpanID:     link.SpanContext.SpanID().String(),
			Attributes: keyValues(link.Attributes),
		})
	}
	return described
}

func unixNano(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func statusCode(code codes.Code) string {
	switch code {
	case codes.Ok:
		return "ok"
	case codes.Error:
		return "error"
	default:
		return "unset"
	}
}

func keyValues(attributes []attribute.KeyValue) []KeyValue {
	described := make([]KeyValue, 0, len(attributes))
	for _, kv := range attributes {
		described = append(described, KeyValue{Key: string(kv.Key), Value: value(kv.Value)})
	}
	return described
}

// value has OTLP's JSON form: an int64 is a string there, because a JSON number cannot hold it.
func value(v attribute.Value) map[string]any {
	switch v.Type() {
	case attribute.BOOL:
		return map[string]any{"boolValue": v.AsBool()}
	case attribute.INT64:
		return map[string]any{"intValue": strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.FLOAT64:
		return map[string]any{"doubleValue": v.AsFloat64()}
	case attribute.STRING:
		return map[string]any{"stringValue": v.AsString()}
	case attribute.STRINGSLICE:
		values := []map[string]any{}
		for _, s := range v.AsStringSlice() {
			values = append(values, map[string]any{"stringValue": s})
		}
		return map[string]any{"arrayValue": map[string]any{"values": values}}
	case attribute.INT64SLICE:
		values := []map[string]any{}
		for _, n := range v.AsInt64Slice() {
			values = append(values, map[string]any{"intValue": strconv.FormatInt(n, 10)})
		}
		return map[string]any{"arrayValue": map[string]any{"values": values}}
	default:
		// Shows up in the comparison as a type that the backend never answers with.
		return map[string]any{"unsupportedInReport": v.Type().String()}
	}
}
