package traceassemblyprocessor

import "sync"

// gate counts the callers that are inside, so that a shutdown can close the channels they send on.
type gate struct {
	stopping chan struct{} // closed when the gate closes; callers that wait inside leave then

	mu      sync.Mutex // guards the fields below
	open    bool
	closed  bool
	callers int
	idle    chan struct{} // closed when the gate is closed and the last caller has left
}

func newGate() *gate {
	return &gate{stopping: make(chan struct{}), idle: make(chan struct{})}
}

// start opens the gate; once closed it stays closed.
func (g *gate) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = !g.closed
}

// opened says whether the gate has been opened, or will not be any more.
func (g *gate) opened() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open || g.closed
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		g.callers++
	}
	return g.open
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callers--
	if !g.open && g.callers == 0 {
		close(g.idle)
	}
}

// close refuses new callers and waits for those inside. It must be called at most once.
func (g *gate) close() {
	g.mu.Lock()
	g.open, g.closed = false, true
	none := g.callers == 0
	g.mu.Unlock()
	close(g.stopping)
	if !none {
		<-g.idle
	}
}
