package chain

import (
	"runtime/debug"
	"testing"
)

// A large pool has garbage collected less often, a small one as before, and whoever
// sets GOGC has the last word.
func TestCollector(t *testing.T) {
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	defer debug.SetGCPercent(percent())
	debug.SetGCPercent(100)
	t.Setenv("GOGC", "")
	var c collector
	for _, step := range []struct {
		pool int64
		want int
	}{{manyBytes - 1, 100}, {manyBytes, 200}, {2 * manyBytes, 200}, {0, 100}} {
		if c.see(func() int64 { return step.pool }); percent() != step.want {
			t.Errorf("with a pool of %d bytes: %d, want %d", step.pool, percent(), step.want)
		}
	}
	t.Setenv("GOGC", "50")
	if c.see(func() int64 { return manyBytes }); percent() != 100 {
		t.Errorf("GOGC is set: %d", percent())
	}
}
