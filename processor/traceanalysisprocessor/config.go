package traceanalysisprocessor

// Config has no settings: what is written on the spans depends on the spans alone.
type Config struct{}
