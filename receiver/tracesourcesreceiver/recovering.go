package tracesourcesreceiver

import (
	"context"
	"maps"
	"runtime/debug"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/inspect"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
)

// recovering is a middleware of gRPC that answers a request on which its receiver panics. Servers of HTTP do so by themselves, those of gRPC end
// the process; and some receivers panic on a request that is odd enough (skywalking on trace ids).
type recovering struct {
	component.StartFunc
	component.ShutdownFunc
	logger *zap.Logger
}

var _ extensionmiddleware.GRPCServer = (*recovering)(nil)

// recoveringID is by what the servers of sources find it. No extension has it, which trace_sources is none of.
var recoveringID = component.NewIDWithName(metadata.Type, "recovering")

// recoverIn puts the middleware into all servers of gRPC in a configuration.
func recoverIn(config component.Config) {
	for _, server := range inspect.Sections[configgrpc.ServerConfig](config) {
		server.Middlewares = append(server.Middlewares, configmiddleware.Config{ID: recoveringID})
	}
}

// GetExtensions implements component.Host: the collector's, and the middleware.
func (h *sourceHost) GetExtensions() map[component.ID]component.Component {
	extensions := maps.Clone(h.Host.GetExtensions())
	if extensions == nil {
		extensions = make(map[component.ID]component.Component)
	}
	extensions[recoveringID] = h.recovering
	return extensions
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (r *recovering) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
			defer r.recover(info.FullMethod, &err)
			return handle(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
			defer r.recover(info.FullMethod, &err)
			return handle(server, stream)
		}),
	}, nil
}

func (r *recovering) recover(method string, err *error) {
	if panicked := recover(); panicked != nil {
		r.logger.Error("a receiver panicked on a request", zap.String("method", method), zap.Any("panic", panicked), zap.ByteString("stack", debug.Stack()))
		*err = status.Error(codes.Internal, "the request is one that its receiver cannot read")
	}
}
