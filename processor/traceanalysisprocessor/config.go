package traceanalysisprocessor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Config is what users write under processors::trace_analysis. What is written on the spans depends on it and on the spans alone.
type Config struct {
	// Business says which spans are business operations.
	Business BusinessConfig `mapstructure:"business"`
}

// BusinessConfig says which spans are business operations.
type BusinessConfig struct {
	// Attributes are names of attributes that name a business operation to you, besides business.operation: a span that has one, and is
	// no client's or producer's, gets the category business_operation. At most 16. Default none.
	Attributes []string `mapstructure:"attributes"`
}

// maxBusinessAttributes bounds what is looked for on every span.
const maxBusinessAttributes = 16

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if n := len(c.Business.Attributes); n > maxBusinessAttributes {
		errs = append(errs, fmt.Errorf("business::attributes has %d names: give at most %d", n, maxBusinessAttributes))
	}
	for i, name := range c.Business.Attributes {
		switch {
		case strings.TrimSpace(name) == "":
			errs = append(errs, fmt.Errorf("business::attributes[%d] is empty: name an attribute of spans, or remove it", i))
		case strings.HasPrefix(name, conventions.Prefix):
			errs = append(errs, fmt.Errorf("business::attributes[%d] is %q: name an attribute that senders write; those under %s are ours",
				i, name, conventions.Prefix))
		}
	}
	return errors.Join(errs...)
}
