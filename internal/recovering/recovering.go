// Package recovering keeps a request on which a receiver panics from ending the process. Servers of HTTP survive such a request by
// themselves, those of gRPC do not; and some receivers panic on one that is odd enough (skywalking on trace ids).
package recovering

import (
	"context"
	"runtime/debug"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/hostextension"
)

// id is by what servers find the middleware among the extensions of a Host. No extension has it.
var id = component.MustNewIDWithName("recovering", "requests")

// Guard puts the middleware, once, into a server's configuration, which then starts with a Host alone.
func Guard(server *configgrpc.ServerConfig) {
	if guard := (configmiddleware.Config{ID: id}); !slices.Contains(server.Middlewares, guard) {
		server.Middlewares = append(server.Middlewares, guard)
	}
}

// Host is the collector's host for a receiver whose servers Guard has seen. Panics are logged.
func Host(collector component.Host, logger *zap.Logger) component.Host {
	return hostextension.With(collector, map[component.ID]component.Component{id: &middleware{logger: logger}})
}

// middleware answers a request over gRPC on which its receiver panics.
type middleware struct {
	component.StartFunc
	component.ShutdownFunc
	logger *zap.Logger
}

var _ extensionmiddleware.GRPCServer = (*middleware)(nil)

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (m *middleware) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
			defer m.recover(info.FullMethod, &err)
			return handle(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
			defer m.recover(info.FullMethod, &err)
			return handle(server, stream)
		}),
	}, nil
}

func (m *middleware) recover(method string, err *error) {
	if panicked := recover(); panicked != nil {
		m.logger.Error("a receiver panicked on a request", zap.String("method", method), zap.Any("panic", panicked), zap.ByteString("stack", debug.Stack()))
		*err = status.Error(codes.Internal, "the request is one that its receiver cannot read")
	}
}
