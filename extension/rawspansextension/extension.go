package rawspansextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"google.golang.org/grpc"
)

// rawSpans has no state of its own: servers ask it for codec and handler when they start.
type rawSpans struct {
	component.StartFunc
	component.ShutdownFunc
	id component.ID
}

var (
	_ extension.Extension                         = (*rawSpans)(nil)
	_ extensionmiddleware.GRPCServer              = (*rawSpans)(nil)
	_ extensionmiddleware.HTTPServer              = (*rawSpans)(nil)
	_ extensioncapabilities.ConfigSnapshotWatcher = (*rawSpans)(nil)
)

// GetGRPCServerOptions has a server read trace requests without decoding them.
func (*rawSpans) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	return []grpc.ServerOption{grpc.ForceServerCodecV2(codec)}, nil
}

// GetHTTPHandler does the same for HTTP, behind what decompresses requests and limits their size.
func (*rawSpans) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return wrapHandler, nil
}

// NotifyConfigSnapshot fails, and with it the start, where a pipeline would get placeholders and knows nothing of them.
func (e *rawSpans) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	return checkPipelines(e.id, snapshot.Effective())
}
