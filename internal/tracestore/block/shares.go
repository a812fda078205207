package block

import "math"

// A share of the critical path is a time divided by the duration of the release's root. It stands twice in a release: on the span
// and on the root.

// Codes of a share.
const (
	shareSame  = 0 // the share before in this release
	sharePath  = 1 // the number before it in the record that forecastPathTime is for, divided
	shareOther = 2 // a classed number, divided
	shareBits  = 3 // 64 bits
)

// shareState is what shares of a release are foretold from.
type shareState struct {
	last  uint64 // bits of the share before
	known bool
	path  int64 // the last critical path time in the record
	root  int64 // duration of the release's root
}

func (e *Encoder) putShare(c *column, share uint64) {
	c.numbers = append(c.numbers, share) // for the bounds
	s := &e.shares
	part, ok := sharePart(math.Float64frombits(share), s.root)
	switch {
	case s.known && s.last == share:
		c.variables = append(c.variables, shareSame)
	case divided(s.path, s.root) == share:
		c.variables = append(c.variables, sharePath)
	case ok:
		c.variables = append(c.variables, shareOther)
		c.variables = c.bits.classed(c.variables, uint64(part))
	default:
		c.variables = append(c.variables, shareBits)
		c.bits.write(share, 64)
	}
	s.last, s.known = share, true
}

func divided(part, whole int64) uint64 { return math.Float64bits(float64(part) / float64(whole)) }

// sharePart is the time of which a share is that of a whole; false where there is none from which the same bits come out.
func sharePart(share float64, whole int64) (int64, bool) {
	part := math.Round(share * float64(whole))
	if !(part >= 0 && part < 1<<62) {
		return 0, false
	}
	return int64(part), divided(int64(part), whole) == math.Float64bits(share)
}
