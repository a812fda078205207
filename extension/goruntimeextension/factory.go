package goruntimeextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/tracewright/tracewright/extension/goruntimeextension/internal/metadata"
	_ "github.com/tracewright/tracewright/internal/boundedzstd" // what a request over gRPC can have allocated is of the process, too
)

// NewFactory returns the factory of the go_runtime extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return &goRuntime{config: cfg.(*Config), logger: set.Logger}, nil
}
