package tracesourcesreceiver

import (
	"errors"

	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// replacement is a source that was started in the place of another, which can still be undone.
type replacement struct {
	r *sourcesReceiver
	// runs is what runs now: the new one, or where it did not start the old one, nil where that does not either.
	runs *running
	// old is the old one, where it runs beside the new one.
	old *running
	// stopped is the old one, where it had to make room.
	stopped *running
	tally   *tally
}

// replace starts what was planned in the place of old, nil if nothing runs. Where they do not meet on a port, the new one starts beside the
// old one, which stops when the new one is kept. Else the old one stops first, and is started again where the new one does not start.
func (r *sourcesReceiver) replace(old *running, made *plan, version int64, t *tally) (*replacement, error) {
	c := &replacement{r: r, runs: old, tally: t}
	if old != nil && meets(old.listens, made.listens) {
		if err := r.stop(old); errors.Is(err, errSlow) {
			// The port is free nevertheless: servers let go of it first.
			r.set.Logger.Warn("a source takes long to stop", zap.String("source", old.source.Name))
		}
		c.runs, c.stopped = nil, old
	}
	s, err := r.start(made, version, t)
	if err != nil {
		c.restore()
		return c, err
	}
	if c.stopped == nil {
		c.old = old
	}
	c.runs = s
	return c, nil
}

// restore starts again what had to make room.
func (c *replacement) restore() {
	if c.stopped == nil {
		return
	}
	source := c.stopped.source
	made, err := c.r.policy.plan(&source)
	if err == nil {
		c.runs, err = c.r.start(made, c.stopped.version, c.tally)
	}
	if err != nil {
		c.runs = nil
		c.r.set.Logger.Error("a source that made room for its change does not start again; it is tried again",
			zap.String("source", source.Name), zap.Error(err))
	}
}

// keep makes it final.
func (c *replacement) keep() {
	if c.old != nil {
		c.r.stopLogged(c.old)
	}
}

// undo puts the old one back in its place.
func (c *replacement) undo() {
	c.r.stopLogged(c.runs)
	c.runs = c.old
	c.restore()
}

// adopt takes over a change that needs no new receiver. mu is held.
func (s *running) adopt(source *tracesources.Source, version int64) {
	s.source, s.version = *source, version
	s.intake.set(source)
}
