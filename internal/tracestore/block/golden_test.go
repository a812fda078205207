package block

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// goldenBlock is what a file in testdata holds: a block of a format version, and what it was made of.
type goldenBlock struct {
	Headers    []Header
	OTLP       [][]byte // as pdata marshals it
	Head, Body []byte
}

// goldenFiles are the files of a version: the block of an encoder that knew some strings before, and that of one which knew nothing.
func goldenFiles(version int) [2]string {
	return [2]string{filepath.Join("testdata", fmt.Sprintf("v%d.json", version)), filepath.Join("testdata", fmt.Sprintf("v%d-fresh.json", version))}
}

// TestGolden: blocks of every format version can be read for ever, and searched.
func TestGolden(t *testing.T) {
	for version := 1; version <= Version; version++ {
		for _, file := range goldenFiles(version) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			var golden goldenBlock
			require.NoError(t, json.Unmarshal(content, &golden))
			require.EqualValues(t, version, golden.Head[3])
			requireGolden(t, &golden)
		}
	}
}

func requireGolden(t *testing.T, golden *goldenBlock) {
	t.Helper()
	require.Greater(t, len(golden.Headers), 5)
	requireBlock(t, golden.Head, golden.Body, golden.Headers, golden.OTLP)
	h, b := openBoth(t, golden.Head, golden.Body)
	var releases []tracetree.Release
	for _, otlp := range golden.OTLP {
		releases = append(releases, tracetree.Releases(unmarshal(t, otlp))...)
	}
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		c := asker{rng, releases}.conditions(rng.IntN(2))
		requireVerdicts(t, h, b, releases, &c)
	}
}

// TestWriteGolden writes the golden blocks, if UPDATE_GOLDEN is set. Once a version is released its file must not change any more.
func TestWriteGolden(t *testing.T) {
	if os.Getenv("UPDATE_GOLDEN") == "" {
		return
	}
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 7}), 0, 3))
	known, fresh := goldenFiles(Version)[0], goldenFiles(Version)[1]
	others := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 7}), 0, 6))
	for i := range others {
		for k, span := range others[i].Spans { // ids that begin alike: see widthUUID
			span.Attributes().PutStr("request.id", fmt.Sprintf("123e4567-e89b-12d3-a456-%012x", k/2+i))
		}
	}
	writeGolden(t, fresh, NewEncoder(), others)
	w := wild{rand.New(rand.NewPCG(9, 10))}
	for len(releases) < 12 {
		releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
	}
	encoder := NewEncoder()
	roundTrip(t, encoder, releases) // so that it knows some strings
	writeGolden(t, known, encoder, releases)
}

func writeGolden(t *testing.T, file string, encoder *Encoder, releases []tracetree.Release) {
	t.Helper()
	var golden goldenBlock
	for i := range releases {
		header, otlp := headerOf(&releases[i]), expected(t, &releases[i])
		header.Spans, header.Size = len(releases[i].Spans), len(otlp)
		golden.Headers, golden.OTLP = append(golden.Headers, header), append(golden.OTLP, otlp)
	}
	golden.Head, golden.Body = roundTrip(t, encoder, releases)
	content, err := json.Marshal(&golden)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content, 0o600))
}
