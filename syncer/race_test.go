//go:build race

package syncer

// raceDetector makes everything ten times slower.
const raceDetector = true
