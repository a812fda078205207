package command

import (
	"flag"
	"fmt"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
)

// accessFlags are those by which a receiver or an API lets one in.
type accessFlags struct {
	headers            []string
	headerFile, caFile string
}

func (a *accessFlags) register(f *flag.FlagSet) {
	f.Func("header", "a header that goes with every request, as `name=value`, as often as wanted; other users of this machine can see it", func(text string) error {
		a.headers = append(a.headers, text) // it is read later: package flag would show the text of one that is wrong
		return nil
	})
	f.StringVar(&a.headerFile, "header-file", "", "read such headers from this file, one a line: tokens belong there")
	f.StringVar(&a.caFile, "ca-file", "", "trust the certificates in this file (PEM) instead of the system's")
}

func (a *accessFlags) load() (l access.Access, err error) {
	if a.headerFile != "" {
		if l.Headers, err = access.ReadHeaders(a.headerFile); err != nil {
			return l, &usageError{fmt.Errorf("--header-file: %w", err)}
		}
	}
	for _, text := range a.headers {
		h, err := access.Parse(text)
		if err != nil {
			return l, &usageError{fmt.Errorf("--header: %w", err)}
		}
		l.Headers = append(l.Headers, h)
	}
	if a.caFile != "" {
		if l.RootCAs, err = access.ReadCAs(a.caFile); err != nil {
			return l, &usageError{fmt.Errorf("--ca-file: %w", err)}
		}
	}
	return l, nil
}
