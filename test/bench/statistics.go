package main

import "slices"

// median of values, of which there is at least one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// medianOf is the median of what value says of each reading.
func medianOf(readings []reading, value func(reading) float64) float64 {
	values := make([]float64, 0, len(readings))
	for _, r := range readings {
		values = append(values, value(r))
	}
	return median(values)
}

// medianDifference is the median, over the rounds, of what a run cost more than another one of the same round, in CPU
// seconds per million spans: what slows the machine down for a while slows both.
func medianDifference(readings, base []reading) float64 {
	differences := make([]float64, 0, len(readings))
	for i := range readings {
		differences = append(differences, readings[i].cpuPerMillion()-base[i].cpuPerMillion())
	}
	return median(differences)
}
