package journeys

import (
	"math"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// What can be worse about a step.
const (
	WorseDuration   = "duration"   // the request takes longer: Before and After are typical times (geometric means), nanoseconds
	WorseSince      = "since"      // it takes longer to come there from the step before: the same
	WorseConversion = "conversion" // fewer come there from the step before: shares
	WorseErrors     = "errors"     // more requests fail there: shares
)

// Worse is something about a step that is worse than before.
type Worse struct {
	Step

	What          string
	Before, After float64
	// Probability is that of such a difference, or a larger one, by chance anywhere in the funnel.
	Probability float64
}

const (
	// minSlower is by which factor a typical time must have grown, and minShare by how much a share must have changed.
	minSlower = 1.2
	minShare  = 0.05
	// maxProbability is how probable a difference may be by chance.
	maxProbability = 0.01
	// minJourneys is how many times of each funnel are compared at least.
	minJourneys = 20
)

// WorseThan tells what is worse in the funnel than in the one before, step by step; nothing of steps that differ. Both are made by Follow.
func (f *Funnel) WorseThan(before *Funnel) []Worse {
	if len(f.Steps) != len(before.Steps) {
		return nil
	}
	var found []Worse
	keep := func(w Worse) {
		if w.Probability = min(1, w.Probability*float64(4*len(f.Steps))); w.Probability < maxProbability {
			found = append(found, w)
		}
	}
	for i := range f.Steps {
		now, was := &f.Steps[i], &before.Steps[i]
		if now.Step != was.Step {
			continue
		}
		keep(slower(now.Step, WorseDuration, &before.times[i].request, &f.times[i].request))
		keep(slower(now.Step, WorseSince, &before.times[i].since, &f.times[i].since))
		if i > 0 {
			keep(rarer(now.Step, was.Reached, before.Steps[i-1].Reached, now.Reached, f.Steps[i-1].Reached))
		}
		keep(oftener(now.Step, was.Failed, was.Reached, now.Failed, now.Reached))
	}
	return found
}

func slower(step Step, what string, before, after *statistics.Moments) Worse {
	w := Worse{Step: step, What: what, Before: math.Exp(before.Mean), After: math.Exp(after.Mean), Probability: 1}
	if before.N >= minJourneys && after.N >= minJourneys && after.Mean-before.Mean >= math.Log(minSlower) {
		w.Probability = statistics.Above(statistics.MeanDistance(before, after, 0))
	}
	return w
}

func rarer(step Step, was, ofBefore, is, of int) Worse {
	w := Worse{Step: step, What: WorseConversion, Before: ratio(was, ofBefore), After: ratio(is, of), Probability: 1}
	if w.Before-w.After >= minShare {
		w.Probability = statistics.MoreOften(int64(ofBefore-was), int64(ofBefore), int64(of-is), int64(of))
	}
	return w
}

func oftener(step Step, was, ofBefore, is, of int) Worse {
	w := Worse{Step: step, What: WorseErrors, Before: ratio(was, ofBefore), After: ratio(is, of), Probability: 1}
	if w.After-w.Before >= minShare {
		w.Probability = statistics.MoreOften(int64(was), int64(ofBefore), int64(is), int64(of))
	}
	return w
}
