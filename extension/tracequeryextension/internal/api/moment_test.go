package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseMoment(t *testing.T) {
	for text, want := range map[string]moment{
		"now":                            {testNow, true},
		"-1h":                            {testNow.Add(-time.Hour), true},
		"-1h30m":                         {testNow.Add(-90 * time.Minute), true},
		"-0s":                            {testNow, true},
		"2026-01-02T03:04:05Z":           {time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), false},
		"2026-01-02T03:04:05.123456789Z": {time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC), false},
		"2026-01-02T03:04:05.5+02:00":    {time.Date(2026, 1, 2, 1, 4, 5, 500_000_000, time.UTC), false},
		"2262-04-11T23:47:16.854775807Z": {latest.UTC(), false},
		"1677-09-21T00:12:43.145224192Z": {earliest.UTC(), false},
	} {
		got, err := parseMoment(text, testNow)
		require.NoError(t, err, text)
		require.True(t, want.time.Equal(got.time) && want.relative == got.relative, "%s: %v", text, got)
	}
	for _, text := range []string{
		"", "yesterday", "1h", "+1h", "--1h", "-+1h", "-", "-1", "-1d", "now-1h", "2026-01-02", "2026-01-02 03:04:05Z",
		"2026-13-02T03:04:05Z", "1767323045", "2262-04-11T23:47:16.854775808Z", "1600-01-01T00:00:00Z",
	} {
		_, err := parseMoment(text, testNow)
		require.Error(t, err, text)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"250ms": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "0s": 0, "0": 0} {
		got, err := parseDuration(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "250", "-1s", "+1s", "1 s", "1d", "99999999h"} {
		_, err := parseDuration(text)
		require.Error(t, err, text)
	}
}

func TestFormatTime(t *testing.T) {
	require.Equal(t, "1970-01-01T00:00:00.000000000Z", formatTime(0))
	require.Equal(t, "2026-01-02T12:00:00.100000000Z", formatTime(testNow.UnixNano()+100_000_000))
}
