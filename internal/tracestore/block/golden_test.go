package block

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// goldenBlock is what testdata/v1.json holds: a block of format version 1, and what it was made of.
type goldenBlock struct {
	Headers    []Header
	OTLP       [][]byte // as pdata marshals it
	Head, Body []byte
}

var goldenFile = filepath.Join("testdata", "v1.json")

// TestGolden: blocks of format version 1 can be read for ever.
func TestGolden(t *testing.T) {
	content, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	var golden goldenBlock
	require.NoError(t, json.Unmarshal(content, &golden))
	require.Greater(t, len(golden.Headers), 5)
	requireBlock(t, golden.Head, golden.Body, golden.Headers, golden.OTLP)
}

// TestWriteGolden writes the golden block, if UPDATE_GOLDEN is set. Once a version is released its file must not change any more.
func TestWriteGolden(t *testing.T) {
	if os.Getenv("UPDATE_GOLDEN") == "" {
		return
	}
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 7}), 0, 3))
	w := wild{rand.New(rand.NewPCG(9, 10))}
	for len(releases) < 12 {
		releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
	}
	encoder := NewEncoder()
	roundTrip(t, encoder, releases) // so that it knows some strings
	var golden goldenBlock
	for i := range releases {
		header, otlp := headerOf(&releases[i]), expected(t, &releases[i])
		header.Spans, header.Size = len(releases[i].Spans), len(otlp)
		golden.Headers, golden.OTLP = append(golden.Headers, header), append(golden.OTLP, otlp)
	}
	golden.Head, golden.Body = roundTrip(t, encoder, releases)
	content, err := json.Marshal(&golden)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(goldenFile, content, 0o600))
}
