package traceassemblyprocessor

import (
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

const (
	// refusesAfter is how long nothing but refusals makes a status. Shorter, every burst would.
	refusesAfter = 5 * time.Second
	// refusesUntil is how long it lasts without another refusal, once there is room. Whoever sends only where requests are taken would
	// otherwise never find out that they are again.
	refusesUntil = 15 * time.Second
	// healthInterval is how often the status is looked at.
	healthInterval = time.Second
)

// errReplaying is why requests are refused after a start.
var errReplaying = errors.New("what the journal holds is being taken up; requests are refused until then")

// intakeHealth tells the host when requests are refused because the journal is replayed, or for want of memory or of a journal, and when
// they are taken again.
type intakeHealth struct {
	// refusing is nil while requests are taken.
	refusing atomic.Pointer[refusing]
	told     bool // that they are refused; run's own
}

// refusing is a time in which every request was refused.
type refusing struct {
	since time.Duration // on the processor's clock
	why   error         // of the first
	last  atomic.Int64  // the last, as a Duration
}

// taken says that a request was taken.
func (h *intakeHealth) taken() {
	if h.refusing.Load() != nil {
		h.refusing.Store(nil)
	}
}

// refused says that one was refused.
func (h *intakeHealth) refused(now time.Duration, why error) {
	r := h.refusing.Load()
	if r == nil {
		r = &refusing{since: now, why: why}
		h.refusing.Store(r)
	}
	r.last.Store(int64(now))
}

// failing is why requests are refused, nil while they are not. room says whether one would fit.
func (h *intakeHealth) failing(now time.Duration, room bool) error {
	r := h.refusing.Load()
	switch {
	case r == nil || now-r.since < refusesAfter:
		return nil
	case room && now-time.Duration(r.last.Load()) >= refusesUntil:
		h.refusing.CompareAndSwap(r, nil)
		return nil
	}
	return r.why
}

// run reports changes until the processor stops.
func (h *intakeHealth) run(p *assemblyProcessor, host component.Host) {
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-p.gate.stopping:
			return
		}
		err := h.failing(p.now(), p.hasRoom())
		if !p.gate.opened() {
			err = errReplaying
		}
		if h.told == (err != nil) {
			continue
		}
		h.told = err != nil
		event := componentstatus.NewEvent(componentstatus.StatusOK)
		if err != nil {
			event = componentstatus.NewRecoverableErrorEvent(err)
		}
		componentstatus.ReportStatus(host, event)
	}
}

// hasRoom says whether a request of common size would find room in memory, and in the journal as far as its bound goes.
func (p *assemblyProcessor) hasRoom() bool {
	return p.budget.held.Load() < p.budget.limit/8*7 && (p.ledger == nil || p.ledger.bytes() < p.ledger.maxBytes)
}
