package shop

import "strconv"

// JourneySteps are the entries that a customer who buys something visits, one after the other, in one session.
var JourneySteps = []string{"GET /products/{product_id}", "POST /cart/items", "POST /checkout"}

// goesOn is the chance to come to a step from the one before.
var goesOn = []float64{1, 0.7, 0.6}

// journeyStep is the step that a visit is, -1 where its customer has left the journey before.
func (s *Shop) journeyStep(index int) int {
	step := index % len(JourneySteps)
	rng := s.random(index/len(JourneySteps), streamJourney)
	for _, chance := range goesOn[:step+1] {
		if rng.Float64() >= chance {
			return -1
		}
	}
	return step
}

// tenantOf is the tenant whose customer makes a journey.
func (s *Shop) tenantOf(journey int) int {
	return s.random(journey, streamCustomer).IntN(s.options.Tenants)
}

// SessionOf is the session.id of a journey's visits.
func (s *Shop) SessionOf(journey int) string {
	return "journey-" + strconv.FormatUint(s.options.Seed, 36) + "-" + strconv.Itoa(journey)
}
