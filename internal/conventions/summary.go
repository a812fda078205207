package conventions

// What the tracesummary connector writes on its records and data points, besides annotations of the same meaning.
const (
	// EventTrace is the name of the event that a log record of a trace is.
	EventTrace = Prefix + "trace"
	// AttrRootDuration is how long the entry root took, nanoseconds.
	AttrRootDuration = Prefix + "root_duration"
	// AttrErrorOrigins counts the spans at which a failure began. The others tell of the first of them.
	AttrErrorOrigins   = Prefix + "error.origins"
	AttrErrorService   = Prefix + "error.service"
	AttrErrorOperation = Prefix + "error.operation"
	// AttrUnknown is the slice of the names, without the prefix, of what the record cannot say.
	AttrUnknown = Prefix + "unknown"
)

// Metrics of the tracesummary connector.
const (
	MetricPathTime       = Prefix + "path_time"
	MetricErrors         = Prefix + "errors"
	MetricRootDuration   = AttrRootDuration
	MetricReleases       = Prefix + "releases"
	MetricSpans          = Prefix + "spans"
	MetricMissingParents = AttrMissingParents
)
