package chain

import (
	"os"
	"runtime/debug"
	"sync"
)

// collector lets more garbage gather in this process while many transfers wait, unless
// GOGC says something else. A collection goes through all of them, and a full block
// makes so much garbage that one would come with nearly each, and requests wait
// meanwhile. With few, fresh memory costs more than collecting does. A limit that the
// process has set for its memory holds in both cases.
type collector struct {
	mu      sync.Mutex
	relaxed bool
}

// manyBytes is how large a pool is when its transfers are many.
const manyBytes = 1 << 20

// see looks at how large the pool is.
func (c *collector) see(pool func() int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	relaxed := pool() >= manyBytes
	if relaxed == c.relaxed || os.Getenv("GOGC") != "" {
		return
	}
	c.relaxed = relaxed
	percent := 100
	if relaxed {
		percent = 200
	}
	debug.SetGCPercent(percent)
}
