package rawspansextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/tracewright/tracewright/extension/rawspansextension/internal/metadata"
)

// NewFactory returns the factory of the raw_spans extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, _ component.Config) (extension.Extension, error) {
	return &rawSpans{id: set.ID}, nil
}
