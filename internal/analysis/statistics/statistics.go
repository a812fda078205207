// Package statistics holds the few statistics that the questions over many traces share. No result is NaN or infinite, whatever the input.
package statistics

import (
	"math"
	"slices"
)

// Moments adds up numbers one by one by Welford's method (Technometrics 4(3), 1962), which stays exact where sums of squares would not. Numbers
// that are NaN or infinite are left out. The zero value is empty.
type Moments struct {
	N    int64
	Mean float64
	m2   float64 // sum of squared distances from the mean
}

// Add adds a number.
func (m *Moments) Add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	m.N++
	d := x - m.Mean
	m.Mean += d / float64(m.N)
	m.m2 += d * (x - m.Mean)
}

// AddMany adds a number n times. Sums of distances add up as those of two samples do (Chan, Golub and LeVeque, 1979).
func (m *Moments) AddMany(x float64, n int64) {
	if n <= 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	m.Merge(&Moments{N: n, Mean: x})
}

// Merge adds all numbers of another sample.
func (m *Moments) Merge(from *Moments) {
	all := m.N + from.N
	if from.N <= 0 || all <= 0 {
		return
	}
	d, part := from.Mean-m.Mean, float64(from.N)/float64(all)
	m.m2 += from.m2 + d*d*part*float64(m.N)
	m.Mean += d * part
	m.N = all
}

// Variance is that of the sample (n − 1), 0 for less than two numbers.
func (m *Moments) Variance() float64 {
	if m.N < 2 {
		return 0
	}
	return max(0, m.m2/float64(m.N-1))
}

// Deviation is the standard deviation of the sample.
func (m *Moments) Deviation() float64 { return math.Sqrt(m.Variance()) }

// Quantile is the smallest of the numbers that at least the share q of them does not exceed (nearest rank), 0 where there are none. The numbers
// are sorted.
func Quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}

// Median is the middle of the numbers, which it sorts; of an even number the middle of the two in the middle. 0 where there are none.
func Median(numbers []float64) float64 {
	n := len(numbers)
	if n == 0 {
		return 0
	}
	slices.Sort(numbers)
	if n%2 == 1 {
		return numbers[n/2]
	}
	return numbers[n/2-1]/2 + numbers[n/2]/2
}

// MeanDistance is by how many standard errors the mean of b lies above that of a, when shift is taken as no difference (Welch's test; the normal
// distribution stands for Student's, so both should hold some 30 numbers). 0 where a or b has less than two numbers, or neither varies and both
// are the same.
func MeanDistance(a, b *Moments, shift float64) float64 {
	if a.N < 2 || b.N < 2 {
		return 0
	}
	return distance(b.Mean-a.Mean-shift, a.Variance()/float64(a.N)+b.Variance()/float64(b.N))
}

// MoreOften is the probability to see at least b cases among nb, were they as frequent there as the a among na (Fisher's exact test, one-sided). 1
// where nothing can be said. It holds for any numbers, small ones too.
func MoreOften(a, na, b, nb int64) float64 {
	cases := a + b
	if a < 0 || b <= 0 || na < a || nb < b || na == 0 {
		return 1
	}
	// The hypergeometric probability of exactly x of the cases among nb, from x = b on, each from the one before.
	p := math.Exp(choose(nb, b) + choose(na, a) - choose(na+nb, cases))
	sum := 0.0
	for x := b; x <= min(nb, cases) && p > sum*1e-16; x++ {
		sum += p
		p *= float64(nb-x) / float64(x+1) * float64(cases-x) / float64(na-(cases-x)+1)
	}
	return min(1, sum)
}

// Together is the probability that tests which know nothing of one another all come out as improbable as these do, by chance (Fisher's method). 1 for none.
func Together(probabilities []float64) float64 {
	half := 0.0 // of the sum of −2·ln p, which is distributed as χ² with two degrees of freedom for each
	for _, p := range probabilities {
		half -= math.Log(max(min(p, 1), math.SmallestNonzeroFloat64))
	}
	sum, term := 0.0, math.Exp(-half)
	for i := range probabilities {
		sum += term
		term *= half / float64(i+1)
	}
	if len(probabilities) == 0 {
		return 1
	}
	return min(1, sum)
}

// choose is the logarithm of n over k.
func choose(n, k int64) float64 {
	all, _ := math.Lgamma(float64(n) + 1)
	in, _ := math.Lgamma(float64(k) + 1)
	out, _ := math.Lgamma(float64(n-k) + 1)
	return all - in - out
}

// maxDistance stands for what is beyond doubt.
const maxDistance = 1e6

func distance(difference, variance float64) float64 {
	if difference == 0 || math.IsNaN(difference) || math.IsNaN(variance) {
		return 0
	}
	if !(variance > 0) {
		return math.Copysign(maxDistance, difference)
	}
	return max(-maxDistance, min(maxDistance, difference/math.Sqrt(variance)))
}

// Above is the probability that a number of the standard normal distribution is above z.
func Above(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }
