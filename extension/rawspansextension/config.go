package rawspansextension

import "go.opentelemetry.io/collector/component"

// Config has no keys: a receiver names the extension among its middlewares.
type Config struct{}

func createDefaultConfig() component.Config { return &Config{} }
