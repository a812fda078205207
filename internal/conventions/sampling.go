package conventions

import (
	"strconv"
	"strings"
)

// Sampling is what a tracestate's "ot" member says of how its span was sampled.
type Sampling struct {
	// Weight is the adjusted count: how many spans the one stands for. 1 where the member says nothing, or nothing that is valid.
	Weight float64
	// BadThreshold and BadRandomness say that th, rv is not as OpenTelemetry has it.
	BadThreshold, BadRandomness bool
	// Inconsistent says that by threshold and randomness the span would not have been sampled.
	Inconsistent bool
}

// samplingDigits is how many hex digits 56 bits have.
const samplingDigits = 14

// ReadSampling reads the value of an "ot" member: sub-keys with values, as "th:c;rv:d29d6a7215ced0".
//
//	th = 1*14HEXDIG   the rejection threshold, of 56 bits; zeros at its end are left out
//	rv = 14HEXDIG     the randomness that it was compared with; else that is the end of the trace id
//
// A span is sampled if its randomness is not below the threshold; of 2^56 spans 2^56 − th are. Where one is sampled that would not have
// been, the threshold is not that of what was done with it, and does not count.
//
// Source: OpenTelemetry specification, tracestate-handling.md and tracestate-probability-sampling.md (trace).
func ReadSampling(ot string) Sampling {
	s := Sampling{Weight: 1}
	var (
		threshold, randomness       uint64
		hasThreshold, hasRandomness bool
	)
	for pair := range strings.SplitSeq(ot, ";") {
		key, value, _ := strings.Cut(pair, ":")
		switch {
		case key == "th" && !hasThreshold && !s.BadThreshold:
			threshold, hasThreshold = hexFraction(value)
			s.BadThreshold = !hasThreshold
		case key == "rv" && !hasRandomness && !s.BadRandomness:
			randomness, hasRandomness = hexFraction(value)
			hasRandomness = hasRandomness && len(value) == samplingDigits
			s.BadRandomness = !hasRandomness
		}
	}
	s.Inconsistent = hasThreshold && hasRandomness && randomness < threshold
	if hasThreshold && !s.Inconsistent {
		const all = 1 << (4 * samplingDigits)
		s.Weight = all / float64(all-threshold)
	}
	return s
}

// hexFraction reads up to samplingDigits hex digits as if zeros followed.
func hexFraction(digits string) (n uint64, ok bool) {
	if digits == "" || len(digits) > samplingDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64) // in base 16 it takes neither signs nor underscores
	if err != nil {
		return 0, false
	}
	return n << (4 * (samplingDigits - len(digits))), true
}
