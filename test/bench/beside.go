package main

import (
	"context"
	"fmt"
	"time"
)

// besideWriting is traffic that is sent while something else is measured.
type besideWriting struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // how, readable then
}

// writeBeside sends the product so many spans a second until stop is called.
func writeBeside(ctx context.Context, c *collector, tracegen string, seed uint64, perS float64) (*besideWriting, error) {
	writing, cancel := context.WithCancel(ctx)
	w := &besideWriting{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		if perS == 0 {
			<-writing.Done()
			return
		}
		load := traffic{tracegen: tracegen, traces: 1_000_000_000, rate: perS / spansPerTrace, reuse: 5000, seed: seed}
		_, w.err = load.send(writing, c.at.grpc)
	}()
	return w, sleep(ctx, 5*time.Second) // tracegen encodes first
}

// failure is not nil where the traffic has ended by itself.
func (w *besideWriting) failure() error {
	select {
	case <-w.done:
		return fmt.Errorf("writing ended while queries ran: %w", w.err)
	default:
		return nil
	}
}

// stop ends the traffic.
func (w *besideWriting) stop() {
	w.cancel()
	<-w.done
}
