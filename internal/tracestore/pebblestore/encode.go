package pebblestore

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// cutSpans and cutBytes, of OTLP, end a block within a call. Calls of trace_assembly are mostly below; what comes without it may be of any size.
const (
	cutSpans = 16_384
	cutBytes = cutSpans * spanBytes
)

// maxCallBytes bounds the blocks of a call: a batch of Pebble's takes 4 GiB.
const maxCallBytes = 2 << 30

// encodedCall is a call ready to be stored: everything that can be made of it without the writer's lock.
type encodedCall struct {
	id       tracetree.CallID
	blocks   []*encodedBlock
	releases int
	spans    int
	bytes    int // of the blocks
	// deltas are what the call adds to the rollups, in the memory of sums, which done gives back.
	deltas []rollup.Delta
	sums   *rollup.Call
}

// encodedBlock is the call's releases of one tenant and day.
type encodedBlock struct {
	at         partition
	head, body []byte
	releases   []encodedRelease
	value      blockValue
}

type encodedRelease struct {
	id   pcommon.TraceID
	hash uint64
	rank
}

// callSums are pooled for their memory.
var callSums = sync.Pool{New: func() any { return new(rollup.Call) }}

// done gives the call's memory back.
func (c *encodedCall) done() {
	if c.sums != nil {
		c.sums.Reset()
		callSums.Put(c.sums)
		c.sums, c.deltas = nil, nil
	}
}

// blockEncoders lends encoders out. They know the traffic from the blocks before, so they are kept, and not for the garbage
// collector to take: a sync.Pool would lose what they learned.
type blockEncoders chan *block.Encoder

func newBlockEncoders() blockEncoders { return make(blockEncoders, runtime.GOMAXPROCS(0)) }

func (e blockEncoders) get() *block.Encoder {
	select {
	case encoder := <-e:
		return encoder
	default:
		return block.NewEncoder()
	}
}

func (e blockEncoders) put(encoder *block.Encoder) {
	encoder.Reset()
	select {
	case e <- encoder:
	default:
	}
}

// encode makes the blocks of a call, and fills in the Assembly of its releases. now stands in for the time of release where the call names
// none. An error is permanent.
func (s *Store) encode(releases []tracetree.Release, now int64) (*encodedCall, error) {
	call := &encodedCall{releases: len(releases), sums: callSums.Get().(*rollup.Call)}
	call.sums.Contrast = &s.contrast
	encoder := s.encoders.get()
	defer s.encoders.put(encoder)
	// Mostly all releases are of one tenant and day. Then all that is to be done with a release is done at once, while it is in the
	// processor's caches.
	groups := s.groupByPartition(releases, now)
	id := tracetree.NewCallHash()
	if len(groups) > 1 {
		for i := range releases {
			releases[i].ReadAssembly()
			id.Add(&releases[i])
		}
	}
	for _, group := range groups {
		var b *encodedBlock
		for k, i := range group.releases {
			release := &releases[i]
			if k+1 < len(group.releases) {
				releases[group.releases[k+1]].Prefetch()
			}
			if len(groups) == 1 {
				release.ReadAssembly()
				id.Add(release)
			}
			releasedAt := releaseTime(release, now)
			if b == nil {
				b = &encodedBlock{at: group.at}
			}
			explained := tracerow.Explained(release)
			if err := b.add(encoder, release, explained, releasedAt); err != nil {
				call.done()
				return nil, err
			}
			var alike rollup.Alike
			if explained == release { // else others are written than are counted
				alike = encoder
			}
			call.sums.AddAlike(explained, group.at.clamp(releasedAt), alike)
			call.spans += len(release.Spans)
			runtime.Gosched()
			if encoder.Spans() >= cutSpans || encoder.Bytes() >= cutBytes || encoder.Len() == block.MaxReleases {
				call.add(b, encoder)
				b = nil
			}
		}
		if b != nil {
			call.add(b, encoder)
		}
	}
	if call.bytes > maxCallBytes {
		call.done()
		return nil, fmt.Errorf("the call takes %d bytes, more than the %d of one write; send it in parts", call.bytes, maxCallBytes)
	}
	call.id, call.deltas = id.ID(), call.sums.Deltas()
	return call, nil
}

// releaseTime is when a release was released, as far as searches, sums and retention are concerned: what is said of it, but at most a day
// ahead. A sender may say anything, and what claimed to be of a far day would outlive everything else.
func releaseTime(release *tracetree.Release, now int64) int64 {
	if release.ReleasedAt > 0 {
		return min(release.ReleasedAt, now+int64(24*time.Hour))
	}
	return now
}

// storageDay is the day under which a release is stored: that of its release, but none that the retention is over for.
func (s *Store) storageDay(releasedAt, now int64) uint32 {
	if retention := int64(s.options.Retention); retention > 0 {
		releasedAt = max(releasedAt, now-retention)
	}
	return dayOf(releasedAt)
}

// clamp is the time within the partition's day that is closest: that under which the rollups of a release count.
func (p partition) clamp(releasedAt int64) int64 {
	const day = int64(24 * time.Hour)
	first := int64(p.day) * day
	return min(max(releasedAt, first), first+(day-1))
}

// add puts a release into the block that the encoder is making. explained is the release with its annotations.
func (b *encodedBlock) add(encoder *block.Encoder, release, explained *tracetree.Release, releasedAt int64) error {
	header := block.Header{
		Version: number32(release.Version), Part: number32(release.Part), ReleasedAt: releasedAt, Row: tracerow.FromRelease(explained),
	}
	before := encoder.Bytes()
	if err := encoder.Add(release, header); err != nil {
		return fmt.Errorf("trace %s: %w; lower max_part_bytes of trace_assembly", release.TraceID, err)
	}
	size := encoder.Bytes() - before
	b.releases = append(b.releases, encodedRelease{release.TraceID, hashID(release.TraceID), rank{version: header.Version, part: header.Part}})
	b.value.add(tracestore.SearchTime(header.Row.Start, releasedAt, 0), releasedAt, len(release.Spans), size)
	return nil
}

// finish ends the block.
func (b *encodedBlock) finish(encoder *block.Encoder) {
	b.head, b.body = encoder.Encode(nil, nil)
	b.value.size = uint64(len(b.head) + len(b.body))
}

func (c *encodedCall) add(b *encodedBlock, encoder *block.Encoder) {
	b.finish(encoder)
	c.blocks = append(c.blocks, b)
	c.bytes += int(b.value.size)
}

type releaseGroup struct {
	at       partition
	releases []int
}

// groupByPartition lists the releases of each tenant and day, in the order in which these first occur.
func (s *Store) groupByPartition(releases []tracetree.Release, now int64) []releaseGroup {
	type key struct {
		tenant string
		day    uint32
	}
	var groups []releaseGroup
	index := make(map[key]int)
	for i := range releases {
		k := key{releases[i].Tenant, s.storageDay(releaseTime(&releases[i], now), now)}
		at, known := index[k]
		if !known {
			at = len(groups)
			index[k] = at
			groups = append(groups, releaseGroup{at: partition{tenantPrefix(k.tenant), k.day}})
		}
		groups[at].releases = append(groups[at].releases, i)
	}
	return groups
}

func number32(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
