package shop

import (
	"errors"
	"fmt"
	"slices"
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
	// FaultOverload lets a share of the calls that a service gets be refused once or twice before it takes them.
	FaultOverload FaultKind = "overload"
	// FaultCapacity lets a service take no more than so many visits a second (Options.Load): its own work takes 1 / (1 − load / capacity) as
	// long, as in a queue with one server.
	FaultCapacity FaultKind = "capacity"
)

// maxUtilisation bounds how slow FaultCapacity makes a service: 50 times.
const maxUtilisation = 0.98

// Share of FaultRetries and FaultOverload where none is given.
const retriesShare = 0.3

// Fault is something that goes wrong in one service.
type Fault struct {
	Service string
	// Version limits FaultErrors and FaultLatency to the instances that run it; empty for all.
	Version string
	Kind    FaultKind
	// Value is a share, 0 to 1, FaultLatency's factor, or FaultCapacity's visits a second.
	Value float64
}

// ParseFault reads service:errors=20%, service@version:errors=20%, service:latency=x5, service:context=12%, service:retries or
// service:retries=30%, service:overload or service:overload=30%, service:capacity=400.
func ParseFault(text string) (Fault, error) {
	service, rest, _ := strings.Cut(text, ":")
	kind, value, given := strings.Cut(rest, "=")
	service, version, limited := strings.Cut(service, "@")
	f := Fault{Service: service, Version: version, Kind: FaultKind(kind)}
	if ServiceIndex(service) < 0 {
		return f, fmt.Errorf("fault %q: no service %q; there are %s", text, service, strings.Join(ServiceNames(), ", "))
	}
	if versions := services[ServiceIndex(service)].Versions; limited && !slices.Contains(versions, version) {
		return f, fmt.Errorf("fault %q: %s has no version %q; it has %s", text, service, version, strings.Join(versions, ", "))
	}
	if limited && f.Kind != FaultErrors && f.Kind != FaultLatency {
		return f, fmt.Errorf("fault %q: only errors and latency can be those of one version", text)
	}
	var err error
	switch f.Kind {
	case FaultErrors, FaultContext:
		f.Value, err = ParseShare(value)
	case FaultLatency:
		f.Value, err = parseFactor(value)
	case FaultRetries, FaultOverload:
		if f.Value = retriesShare; given {
			f.Value, err = ParseShare(value)
		}
	case FaultCapacity:
		if f.Value, err = strconv.ParseFloat(value, 64); err != nil || !(f.Value > 0 && f.Value <= 1e9) {
			err = fmt.Errorf("%q is no number of traces a second; write it as 400", value)
		}
	default:
		err = errors.New("what goes wrong must be errors=20%, latency=x5, context=12%, retries, overload or capacity=400")
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

// instanceFaults are the faults of one instance: shares, and the factor of its own work (0: none given).
type instanceFaults struct {
	errors, context, retries, overload float64
	latency, queue                     float64
}

func (f *instanceFaults) slowness() float64 {
	slowness := 1.0
	for _, factor := range []float64{f.latency, f.queue} {
		if factor != 0 {
			slowness *= factor
		}
	}
	return slowness
}

func (f *instanceFaults) apply(fault Fault, load float64) {
	switch fault.Kind {
	case FaultErrors:
		f.errors = fault.Value
	case FaultLatency:
		f.latency = fault.Value
	case FaultContext:
		f.context = fault.Value
	case FaultRetries:
		f.retries = fault.Value
	case FaultOverload:
		f.overload = fault.Value
	case FaultCapacity:
		f.queue = 1 / (1 - min(load/fault.Value, maxUtilisation))
	}
}

// makeFaults finds what is wrong with each instance of each service.
func (s *Shop) makeFaults() {
	s.faults = make([][]instanceFaults, len(services))
	for i := range services {
		s.faults[i] = make([]instanceFaults, services[i].Instances)
	}
	for _, fault := range s.options.Faults {
		service := ServiceIndex(fault.Service)
		for number := range s.faults[service] {
			if fault.Version == "" || fault.Version == services[service].version(number) {
				s.faults[service][number].apply(fault, s.options.Load)
			}
		}
	}
}
