// Package agentrpc is the gRPC service `dbaas.agent.v1.Agent`, written out by hand over protobuf's well-known wrapper
// types, so that no generated code is needed. It knows nothing of tracing: that is in the interceptors of its callers.
package agentrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	serviceName         = "dbaas.agent.v1.Agent"
	executeBackupMethod = "ExecuteBackup"
	uploadBackupMethod  = "UploadBackup"
)

// Agent executes commands next to a database instance.
type Agent interface {
	// ExecuteBackup takes a base backup of the instance and returns its size in bytes.
	ExecuteBackup(ctx context.Context, instance *wrapperspb.StringValue) (*wrapperspb.Int64Value, error)
	// UploadBackup carries the last backup of the instance to the object store.
	UploadBackup(ctx context.Context, instance *wrapperspb.StringValue) (*emptypb.Empty, error)
}

// Register makes the server answer calls with the agent.
func Register(server grpc.ServiceRegistrar, agent Agent) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*Agent)(nil),
		Methods: []grpc.MethodDesc{
			unary(executeBackupMethod, Agent.ExecuteBackup),
			unary(uploadBackupMethod, Agent.UploadBackup),
		},
	}, agent)
}

// Client calls an agent in another process.
type Client struct{ connection grpc.ClientConnInterface }

// NewClient calls over the connection.
func NewClient(connection grpc.ClientConnInterface) *Client { return &Client{connection} }

// ExecuteBackup calls Agent.ExecuteBackup.
func (c *Client) ExecuteBackup(ctx context.Context, instance string) (int64, error) {
	size := &wrapperspb.Int64Value{}
	err := c.connection.Invoke(ctx, path(executeBackupMethod), wrapperspb.String(instance), size)
	return size.GetValue(), err
}

// UploadBackup calls Agent.UploadBackup.
func (c *Client) UploadBackup(ctx context.Context, instance string) error {
	return c.connection.Invoke(ctx, path(uploadBackupMethod), wrapperspb.String(instance), &emptypb.Empty{})
}

func path(method string) string { return "/" + serviceName + "/" + method }

// unary is what protoc-gen-go-grpc would generate for a method of the service.
func unary[Reply any](method string, call func(Agent, context.Context, *wrapperspb.StringValue) (Reply, error)) grpc.MethodDesc {
	handler := func(service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		request := &wrapperspb.StringValue{}
		if err := decode(request); err != nil {
			return nil, err
		}
		handle := func(ctx context.Context, request any) (any, error) {
			return call(service.(Agent), ctx, request.(*wrapperspb.StringValue))
		}
		if interceptor == nil {
			return handle(ctx, request)
		}
		return interceptor(ctx, request, &grpc.UnaryServerInfo{Server: service, FullMethod: path(method)}, handle)
	}
	return grpc.MethodDesc{MethodName: method, Handler: handler}
}
