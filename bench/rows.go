package bench

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
)

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// imports: full blocks of signed transfers, decoded, checked, applied, indexed and
// on disk to stay, each time by a node that has just opened its chain.
func (r *run) imports() error {
	dir, rules, encodings, err := r.crowdBlocks("crowd", (r.repeats+1)*r.fullBlocks)
	if err != nil {
		return err
	}
	var cpu []time.Duration
	spent := make(map[chain.Part]time.Duration)
	elapsed, err := r.median("import", func() (elapsed time.Duration, err error) {
		err = withChain(dir, rules, func(_ *store.Store, m *chain.Manager) error {
			start, before := time.Now(), processorTime()
			err := add(r.ctx, m, func(yield func(chain.Incoming) bool) {
				for _, e := range encodings[:r.fullBlocks] {
					if !yield(chain.Incoming{Encoding: e}) {
						return
					}
				}
			})
			elapsed = time.Since(start)
			cpu = append(cpu, processorTime()-before)
			for _, p := range chain.Parts() {
				spent[p] += m.Spent(p)
			}
			return err
		})
		encodings = encodings[r.fullBlocks:]
		return elapsed, err
	})
	if err != nil {
		return err
	}
	most, err := r.signatureRates()
	if err != nil {
		return err
	}
	transfers := float64(r.fullBlocks * chaintest.PerBlock)
	r.rate("import", fmt.Sprintf("signed transfers imported, %d accounts", r.accounts), "/s", transfers/elapsed.Seconds(),
		"signatures alone, all cores", most.library)
	if used := summary(cpu).p50; used > 0 {
		r.plain("import", "the same for each second of a core", "/s", transfers/used.Seconds())
	}
	for _, p := range chain.Parts() {
		r.plain("import", fmt.Sprintf("%s, summed over cores, for a transfer", p), "us",
			float64(spent[p].Microseconds())/transfers/float64(r.repeats))
	}
	return r.importMemory(dir, rules, encodings)
}

// crowdBlocks is crowd with the encodings of the blocks. What made them is garbage
// by then.
func (r *run) crowdBlocks(name string, count int) (dir string, rules *consensus.Rules, encodings [][]byte, err error) {
	dir, rules, blocks, err := r.crowd(name, count)
	for i, b := range blocks {
		encodings = append(encodings, b.Encode())
		blocks[i] = nil
	}
	runtime.GC()
	return dir, rules, encodings, err
}

// importMemory is the most memory that the command has which imports more blocks
// into the same directory, with the settings of a node that was told nothing.
func (r *run) importMemory(dir string, rules *consensus.Rules, encodings [][]byte) error {
	file := filepath.Join(r.dir, "crowd.cairn")
	if err := writeBlockFile(file, rules, encodings); err != nil {
		return err
	}
	r.progress("memory of an import", 0, 1)
	cmd, err := r.command("import", file, "--data", dir)
	if err != nil {
		return err
	}
	bytes, err := r.peak(cmd)
	if err != nil {
		return err
	}
	if bytes > 0 {
		r.plain("import", fmt.Sprintf("most memory of cairn import, %d accounts", r.accounts), "MiB", float64(bytes)/(1<<20))
	}
	return nil
}

// sync: a new node fetches its neighbour's chain and answers with all of it.
func (r *run) sync() error {
	dir, err := r.tenEach()
	if err != nil {
		return err
	}
	file, err := r.export(dir)
	if err != nil {
		return err
	}
	alone, err := r.median("import of the same", func() (time.Duration, error) { return r.importFile(file) })
	if err != nil {
		return err
	}
	neighbour, err := r.launch("--data", dir)
	if err != nil {
		return err
	}
	defer neighbour.stop()
	elapsed, err := r.median("sync", func() (elapsed time.Duration, err error) {
		err = r.withNode(func(p *process) error {
			_, err := send(r.ctx, http.MethodPost, p.url+"/register-node", fmt.Sprintf(`{"address":%q}`, neighbour.url))
			if err != nil {
				return err
			}
			start := time.Now()
			_, err = get(r.ctx, p.url+"/sync-chain")
			elapsed = time.Since(start)
			return err
		})
		return elapsed, err
	})
	if err != nil {
		return err
	}
	r.span("sync", fmt.Sprintf("GET /sync-chain, %d blocks of 10", r.blocks), elapsed, "import of the same from a file", alone)
	return nil
}

// withNode runs a node on a new directory, with settings, for as long as use takes.
func (r *run) withNode(use func(*process) error, settings ...string) error {
	dir := filepath.Join(r.dir, "node")
	defer os.RemoveAll(dir)
	p, err := r.launch(append([]string{"--data", dir}, settings...)...)
	if err != nil {
		return err
	}
	err = use(p)
	if stopped := p.stop(); err == nil {
		err = stopped
	}
	return err
}

// post: transfers that are on disk when they are answered.
func (r *run) post() error {
	return r.durable("post", "POST /create-transaction", func(address string) []byte {
		return request(http.MethodPost, address, "/create-transaction", newTransaction)
	})
}

// mine: blocks that are on disk when they are answered, one on another.
func (r *run) mine() error {
	return r.durable("mine", "GET /mine", func(address string) []byte {
		return request(http.MethodGet, address, "/mine", "")
	})
}

// durable presses a new node with requests whose answers are promises. One
// connection waits for the disk each time; many can share the wait.
func (r *run) durable(name, what string, request func(address string) []byte) error {
	most, err := r.durableRates()
	if err != nil {
		return err
	}
	for _, c := range connections {
		err := r.withNode(func(p *process) error {
			got, err := r.press(name, p.address(), c, request(p.address()))
			if err != nil {
				return err
			}
			what := what + ", " + count(c, "connection")
			r.rate(name, what, "/s", got.rate, "a bare server that syncs what it is sent", most[c].rate)
			r.plain(name, what+", p50", "ms", milliseconds(got.p50))
			r.plain(name, what+", p99", "ms", milliseconds(got.p99))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// chain: all blocks as JSON, beside an HTTP server that has as many bytes ready.
func (r *run) chain() error {
	dir, err := r.tenEach()
	if err != nil {
		return err
	}
	p, err := r.launch("--data", dir)
	if err != nil {
		return err
	}
	defer p.stop()
	var bytes int64
	read := func(url string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			start := time.Now()
			n, err := get(r.ctx, url)
			bytes = n
			return time.Since(start), err
		}
	}
	elapsed, err := r.median("chain", read(p.url+"/chain"))
	if err != nil {
		return err
	}
	var ready time.Duration
	err = echo(make([]byte, bytes), func(address string) (err error) {
		ready, err = r.median("echo", read("http://"+address))
		return err
	})
	if err != nil {
		return err
	}
	r.span("chain", fmt.Sprintf("GET /chain, %d blocks of 10", r.blocks), elapsed, "as many bytes from memory", ready)
	r.rate("chain", "the same", "MB/s", float64(bytes)/1e6/elapsed.Seconds(), "as many bytes from memory", float64(bytes)/1e6/ready.Seconds())
	return nil
}

// start: from the start of the process to its first answer, beside a process of
// the same program that does nothing.
func (r *run) start() error {
	idle, err := r.median("start", func() (time.Duration, error) {
		start := time.Now()
		err := exec.CommandContext(r.ctx, r.Node, "version").Run()
		return time.Since(start), err
	})
	if err != nil {
		return err
	}
	empty, err := r.median("start", func() (ready time.Duration, err error) {
		err = r.withNode(func(p *process) error { ready = p.ready; return nil })
		return ready, err
	})
	if err != nil {
		return err
	}
	const bound = "start and end of a process that does nothing"
	r.span("start", "start to first answer, new directory", empty, bound, idle)
	dir, err := r.newcomers()
	if err != nil {
		return err
	}
	long, err := r.median("start", func() (time.Duration, error) {
		p, err := r.launch("--data", dir)
		if err != nil {
			return 0, err
		}
		return p.ready, p.stop()
	})
	if err != nil {
		return err
	}
	r.span("start", fmt.Sprintf("start to first answer, %d blocks and accounts", r.longChain), long, bound, idle)
	return nil
}

// settle is how long a node is left alone before its memory is read.
const settle = 2 * time.Second

// memory: what an idle node has, where the system tells.
func (r *run) memory() error {
	report := func(what string) func(p *process) error {
		return func(p *process) error {
			select {
			case <-time.After(min(settle, r.load)):
			case <-r.ctx.Done():
			}
			if bytes := p.memory(); bytes > 0 {
				r.plain("memory", what, "MiB", float64(bytes)/(1<<20))
			}
			return nil
		}
	}
	r.progress("memory", 0, 1)
	if err := r.withNode(report("memory of an idle node, new directory")); err != nil {
		return err
	}
	dir, err := r.newcomers()
	if err != nil {
		return err
	}
	p, err := r.launch("--data", dir)
	if err != nil {
		return err
	}
	defer p.stop()
	return report(fmt.Sprintf("memory of an idle node, %d blocks and accounts", r.longChain))(p)
}

// size: the program that is measured; releases are stripped, and smaller.
func (r *run) size() error {
	info, err := os.Stat(r.Node)
	if err != nil {
		return err
	}
	r.plain("size", "the program's file", "MB", float64(info.Size())/1e6)
	return nil
}
