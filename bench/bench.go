// Package bench measures a whole node on the machine that it runs on: what the
// node does in a second, beside what bounds it there, measured in the same run. A
// figure alone says little, since machines differ; its ratio to the bound says how
// much the program leaves unused.
//
// Nodes are processes of the real program that are spoken to over HTTP on the
// loopback interface. Only what has no such call is measured inside this process:
// the import of blocks, and the bounds themselves.
package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what to measure, and with what.
type Config struct {
	// Rows are the names of what to measure, out of Names; none means all.
	Rows []string

	// Node is the path of the program, which is started as a node.
	Node string

	// Dir is a directory on the disk to measure. A directory is made in it, and
	// removed at the end. By default it is the system's for temporary files.
	Dir string

	// Accounts is how many accounts the imported chain has. Default: 100,000.
	Accounts int

	// Quick takes a few seconds in all, on small chains: for a first look.
	Quick bool

	// Row gets each figure as soon as it is there.
	Row func(Row)

	// Progress is told how far a step is, in whatever it counts. It may be nil.
	Progress func(step string, done, total uint64)
}

// Row is one figure beside what bounds it.
type Row struct {
	Name  string  `json:"name"` // as in Names
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`

	// What no program here could pass, in the same unit, and how much of it is
	// reached: 1 is all. They are absent where nothing bounds the figure.
	Bound      string  `json:"bound,omitempty"`
	BoundValue float64 `json:"bound_value,omitempty"`
	Ratio      float64 `json:"ratio,omitempty"`
}

// groups are what can be measured, in order. Each gives one row or a few.
var groups = []struct {
	name    string
	measure func(*run) error
}{
	{"hash", (*run).hash},
	{"signatures", (*run).signatures},
	{"disk", (*run).disk},
	{"import", (*run).imports},
	{"live", (*run).live},
	{"sync", (*run).sync},
	{"post", (*run).post},
	{"chain", (*run).chain},
	{"mine", (*run).mine},
	{"submit", (*run).submissions},
	{"read", (*run).read},
	{"events", (*run).events},
	{"start", (*run).start},
	{"memory", (*run).memory},
	{"peers", (*run).peers},
	{"size", (*run).size},
}

// Names returns the names of all rows.
func Names() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// sizes are how much is measured.
type sizes struct {
	accounts   int // of the imported chain
	fullBlocks int // imported
	liveBlocks int // full ones, whose transfers were waiting
	blocks     int // of ten transfers, synced and read
	longChain  int // blocks, each with a new account, that a node starts on
	// Blocks' worth of signed transfers that are submitted in each way, and readers of
	// events.
	submitBlocks, readers int
	manyPeers             int           // of one node
	repeats               int           // of what is done rather than kept up for a while
	load                  time.Duration // that requests are sent for
	burst                 time.Duration // that a bound is measured for
}

func (c *Config) sizes() sizes {
	s := sizes{100_000, 30, 20, 10_000, 100_000, 10, 1000, 50, 3, 2 * time.Second, time.Second}
	if c.Quick {
		s = sizes{1_000, 2, 2, 200, 500, 1, 10, 3, 1, 200 * time.Millisecond, 50 * time.Millisecond}
	}
	if c.Accounts != 0 {
		s.accounts = c.Accounts
	}
	return s
}

// run is one run of Run.
type run struct {
	Config
	sizes
	ctx context.Context
	dir string   // for everything, removed at the end
	env []string // of the processes that it starts, besides this one's

	// Bounds and chains that several rows need are made once, when the first does.
	signatureRates func() (signatureRates, error)
	syncTime       func() (latency, error)
	durableRates   func() (map[int]load, error)
	tenEach        func() (string, error)
	newcomers      func() (string, error)
}

// Run measures what cfg names. It ends early, with an error, when ctx does.
func Run(ctx context.Context, cfg Config) error {
	for _, name := range cfg.Rows {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("there is no row %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	dir, err := os.MkdirTemp(cfg.Dir, "cairn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &run{Config: cfg, sizes: cfg.sizes(), ctx: ctx, dir: dir}
	r.signatureRates = sync.OnceValues(r.measureSignatures)
	r.syncTime = sync.OnceValues(r.measureSync)
	r.durableRates = sync.OnceValues(r.measureDurable)
	r.tenEach = sync.OnceValues(r.fillTenEach)
	r.newcomers = sync.OnceValues(r.fillNewcomers)
	for _, g := range groups {
		if len(cfg.Rows) > 0 && !slices.Contains(cfg.Rows, g.name) {
			continue
		}
		if err := g.measure(r); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return ctx.Err()
}

// rate hands out a figure that is better when it is higher.
func (r *run) rate(name, what, unit string, value float64, bound string, most float64) {
	r.Row(Row{name, what, value, unit, bound, most, ratio(value, most)})
}

// span hands out a time in milliseconds, which is better when it is shorter.
func (r *run) span(name, what string, value time.Duration, bound string, least time.Duration) {
	r.Row(Row{name, what, milliseconds(value), "ms", bound, milliseconds(least), ratio(float64(least), float64(value))})
}

// plain hands out a figure that nothing here bounds.
func (r *run) plain(name, what, unit string, value float64) {
	r.Row(Row{Name: name, What: what, Value: value, Unit: unit})
}

func ratio(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *run) progress(step string, done, total int) {
	if r.Progress != nil {
		r.Progress(step, uint64(done), uint64(total))
	}
}

// median measures as often as the run repeats things.
func (r *run) median(step string, measure func() (time.Duration, error)) (time.Duration, error) {
	var all []time.Duration
	for i := range r.repeats {
		r.progress(step, i, r.repeats)
		d, err := measure()
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	return summary(all).p50, r.ctx.Err()
}

// latency is what a set of times comes to.
type latency struct{ p50, p99 time.Duration }

func summary(all []time.Duration) latency {
	if len(all) == 0 {
		return latency{}
	}
	slices.Sort(all)
	return latency{all[len(all)/2], all[len(all)*99/100]}
}
