// Package freeport gives ports to servers that tests and benchmarks start, which take them some time after they were chosen, and again
// after each start of theirs.
//
// A port that the kernel chooses (":0") may by then be that of a connection, and one that was chosen at random that of another test.
// These are below those that the kernel gives to connections, none is given twice by a process, and processes that run at the same time
// give others: each holds the first port of every hundred that it gives from.
package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	first, last = 20_000, 32_000 // Linux gives connections those from 32,768 on
	hundred     = 100
)

var given struct {
	mu        sync.Mutex
	held      []net.Listener // guarded by mu: the first of each hundred that is this process's; never closed
	next, end int            // guarded by mu: the rest of the last hundred
}

// Take returns n ports of 127.0.0.1 that nobody listens on, and that are given to nobody else.
func Take(ctx context.Context, n int) ([]int, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	ports := make([]int, 0, n)
	for len(ports) < n {
		if given.next == given.end {
			if err := hold(ctx); err != nil {
				return nil, err
			}
		}
		port := given.next
		given.next++
		listener, err := listen(ctx, port)
		if err != nil {
			continue // somebody has it who does not ask here
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// hold finds a hundred that no process has. The caller holds given.mu.
func hold(ctx context.Context) error {
	const hundreds = (last - first) / hundred
	var cause error
	for _, i := range rand.Perm(hundreds) {
		port := first + i*hundred
		listener, err := listen(ctx, port)
		if err != nil {
			cause = err
			continue
		}
		given.held = append(given.held, listener)
		given.next, given.end = port+1, port+hundred
		return nil
	}
	return fmt.Errorf("no hundred ports are free from %d to %d: %w", first, last, cause)
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
