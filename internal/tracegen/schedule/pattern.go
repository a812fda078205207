package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// Burst says that traffic comes in bursts: at the start of each period of Every, Factor times as much for as long as For
// than in the rest of the period. The zero Burst is steady traffic.
type Burst struct {
	Factor     float64
	For, Every time.Duration
}

// ParseBurst reads factor/for/every, as in 20x/2s/20s.
func ParseBurst(text string) (b Burst, err error) {
	parts := strings.Split(text, "/")
	if len(parts) == 3 {
		var errs [3]error
		b.Factor, errs[0] = strconv.ParseFloat(strings.TrimSuffix(parts[0], "x"), 64)
		b.For, errs[1] = time.ParseDuration(parts[1])
		b.Every, errs[2] = time.ParseDuration(parts[2])
		if errs == [3]error{} && b.Factor >= 1 && b.Factor <= 1000 && b.For > 0 && b.For < b.Every {
			return b, nil
		}
	}
	return b, fmt.Errorf("%q is no burst of 1 to 1000 times the traffic for a part of a period; write it as 20x/2s/20s", text)
}

// start is when a visit begins that would begin at steady, nanoseconds from the origin, if traffic were steady. Visits stay
// in their period.
func (b *Burst) start(steady float64) int64 {
	if b.Every == 0 {
		return int64(steady)
	}
	length, every := float64(b.For), float64(b.Every)
	period := math.Floor(steady / every)
	place := steady/every - period // the share of the period's visits that begin before this one
	share := b.Factor * length / (b.Factor*length + every - length)
	if place < share {
		place = place / share * length
	} else {
		place = length + (place-share)/(1-share)*(every-length)
	}
	return int64(period*every + place)
}

// ParseBehind reads service:delay, as in inventory:3s.
func ParseBehind(text string) (service int, delay time.Duration, err error) {
	name, rest, _ := strings.Cut(text, ":")
	if service = shop.ServiceIndex(name); service < 0 {
		return 0, 0, fmt.Errorf("no service %q; there are %s", name, strings.Join(shop.ServiceNames(), ", "))
	}
	if delay, err = time.ParseDuration(rest); err != nil || delay <= 0 {
		return 0, 0, fmt.Errorf("%q is no positive delay; write it as inventory:3s", rest)
	}
	return service, delay, nil
}
