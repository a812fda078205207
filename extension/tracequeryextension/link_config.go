package tracequeryextension

import (
	"errors"
	"fmt"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/correlation"
)

// LinkConfig is one template of a link.
type LinkConfig struct {
	// Name is what the link is called in answers; each once for traces, and once for spans. Required.
	Name string `mapstructure:"name"`

	// URL is the link, with placeholders in braces for what the trace or span says of itself, such as
	// https://logs.example/search?trace={trace_id}&from={from_ms}&to={to_ms}. The README lists them. Required.
	URL string `mapstructure:"url"`

	// On says what has the link: trace, or span. Default trace.
	On string `mapstructure:"on"`
}

// What has a link.
const (
	onTrace = "trace"
	onSpan  = "span"
)

// makeLinks reads the templates; nil where there are none.
func makeLinks(configured []LinkConfig) (*api.Links, error) {
	if len(configured) == 0 {
		return nil, nil
	}
	var links api.Links
	var errs []error
	known := make(map[string]bool)
	for i, link := range configured {
		key := fmt.Sprintf("links[%d]", i)
		on := link.On
		switch {
		case on == "":
			on = onTrace
		case on != onTrace && on != onSpan:
			errs = append(errs, fmt.Errorf("%s::on: must be %s or %s, not %q", key, onTrace, onSpan, on))
		}
		switch {
		case link.Name == "":
			errs = append(errs, fmt.Errorf("%s::name: must say what the link is called, such as logs", key))
		case known[on+" "+link.Name]:
			errs = append(errs, fmt.Errorf("%s::name: another link on a %s is called %q too", key, on, link.Name))
		}
		known[on+" "+link.Name] = true
		template, err := correlation.New(link.Name, link.URL, on == onSpan)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s::url: %w", key, err))
			continue
		}
		if on == onSpan {
			links.Spans = append(links.Spans, template)
		} else {
			links.Trace = append(links.Trace, template)
		}
	}
	return &links, errors.Join(errs...)
}
