package shop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FaultKind says what goes wrong in a service.
type FaultKind string

// Kinds of faults.
const (
	// FaultErrors lets a share of the calls of a service fail.
	FaultErrors FaultKind = "errors"
	// FaultLatency makes a service's own work slower by a factor.
	FaultLatency FaultKind = "latency"
	// FaultContext lets a service drop the context of a share of its incoming calls: it starts new traces.
	FaultContext FaultKind = "context"
	// FaultRetries lets a share of the calls that a service makes be refused once or twice before they succeed.
	FaultRetries FaultKind = "retries"
)

// Share of FaultRetries where none is given.
const retriesShare = 0.3

// Fault is something that goes wrong in one service.
type Fault struct {
	Service string
	Kind    FaultKind
	// Value is a share, 0 to 1, or FaultLatency's factor.
	Value float64
}

// ParseFault reads service:errors=20%, service:latency=x5, service:context=12%, service:retries or service:retries=30%.
func ParseFault(text string) (Fault, error) {
	service, rest, _ := strings.Cut(text, ":")
	kind, value, given := strings.Cut(rest, "=")
	f := Fault{Service: service, Kind: FaultKind(kind)}
	if ServiceIndex(service) < 0 {
		return f, fmt.Errorf("fault %q: no service %q; there are %s", text, service, strings.Join(ServiceNames(), ", "))
	}
	var err error
	switch f.Kind {
	case FaultErrors, FaultContext:
		f.Value, err = ParseShare(value)
	case FaultLatency:
		f.Value, err = parseFactor(value)
	case FaultRetries:
		if f.Value = retriesShare; given {
			f.Value, err = ParseShare(value)
		}
	default:
		err = errors.New("what goes wrong must be errors=20%, latency=x5, context=12% or retries")
	}
	if err != nil {
		return f, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

// ParseShare reads a share: 20% or 0.2.
func ParseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		return 0, fmt.Errorf("%q is no share; write it as 20%% or 0.2", text)
	}
	return share, nil
}

func parseFactor(text string) (float64, error) {
	factor, err := strconv.ParseFloat(strings.TrimPrefix(text, "x"), 64)
	if err != nil || !(factor > 0 && factor <= 1000) {
		return 0, fmt.Errorf("%q is no factor above 0 and up to 1000; write it as x5", text)
	}
	return factor, nil
}

// serviceFaults are the faults of one service: shares, and the factor of its own work (0: none given).
type serviceFaults struct {
	errors, context, retries float64
	latency                  float64
}

func (f *serviceFaults) slowness() float64 {
	if f.latency == 0 {
		return 1
	}
	return f.latency
}

func (f *serviceFaults) apply(fault Fault) {
	switch fault.Kind {
	case FaultErrors:
		f.errors = fault.Value
	case FaultLatency:
		f.latency = fault.Value
	case FaultContext:
		f.context = fault.Value
	case FaultRetries:
		f.retries = fault.Value
	}
}
