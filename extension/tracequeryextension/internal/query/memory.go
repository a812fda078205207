package query

import (
	"context"
	"errors"
	"sync/atomic"
)

// ErrMemory says that the traces which requests hold take the memory that there is for them. Later there may be room.
var ErrMemory = errors.New("large traces that others read take the memory that there is for traces")

// defaultTraceBytes is how much a request without a share reads.
const defaultTraceBytes = 128 << 20

// Memory bounds the traces that requests hold, in bytes as OTLP protobuf; in memory they take some five times as much. A sender that
// gives everything one trace id makes a trace that no memory holds.
type Memory struct {
	// PerRequest is how much of a trace one request reads before it goes without the rest, Total how much all of them hold.
	PerRequest, Total int64

	held atomic.Int64
}

// shareKey finds a request's share in its context.
type shareKey struct{}

// share is what one request holds. One goroutine uses it.
type share struct {
	memory *Memory
	held   int64
}

// Begin gives a request its share. The caller calls end when the request holds no trace any more.
func (m *Memory) Begin(ctx context.Context) (_ context.Context, end func()) {
	s := &share{memory: m}
	return context.WithValue(ctx, shareKey{}, s), s.end
}

// shareOf is the request's share; where it has none, one of its own.
func shareOf(ctx context.Context) *share {
	if s, ok := ctx.Value(shareKey{}).(*share); ok {
		return s
	}
	return &share{memory: &Memory{PerRequest: defaultTraceBytes, Total: defaultTraceBytes}}
}

// end gives back what the request holds.
func (s *share) end() {
	s.memory.held.Add(-s.held)
	s.held = 0
}

// take adds to what the request holds. A request that is alone gets what it needs. The error is ErrMemory.
func (s *share) take(bytes int64) error {
	s.held += bytes
	if held := s.memory.held.Add(bytes); held > s.memory.Total && held != s.held {
		return ErrMemory
	}
	return nil
}
