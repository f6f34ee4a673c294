package bench

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"cairn/chain/chaintest"
	"cairn/miner/sha256d"
	"cairn/types"
)

// onCores calls work again and again on some cores for a while and returns how
// much was done in a second; work says how much one call does.
func onCores(cores int, d time.Duration, work func() int) float64 {
	start := time.Now()
	done := make([]int, cores)
	var wg sync.WaitGroup
	for core := range cores {
		wg.Go(func() {
			for time.Since(start) < d {
				done[core] += work()
			}
		})
	}
	wg.Wait()
	elapsed, sum := time.Since(start), 0
	for _, n := range done {
		sum += n
	}
	return float64(sum) / elapsed.Seconds()
}

// beside returns what two kinds of work do in a second, by turns, so that what
// else the machine does meets both.
func (r *run) beside(step string, cores int, work, bound func() int) (done, most float64) {
	const turns = 5
	var ours, theirs []float64
	for i := range turns {
		r.progress(step, i, turns)
		ours = append(ours, onCores(cores, r.burst/turns, work))
		theirs = append(theirs, onCores(cores, r.burst/turns, bound))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	return ours[turns/2], theirs[turns/2]
}

// hash: the miner's search, beside crypto/sha256 over a long text. A nonce takes
// two blocks of 64 bytes, since the first of the header's is hashed once.
func (r *run) hash() error {
	const nonces, text = 4096, 1 << 16
	var header [types.HeaderSize]byte
	for _, cores := range []int{1, runtime.GOMAXPROCS(0)} {
		hashes, blocks := r.beside("hash", cores, func() int {
			sha256d.Search(&header, [4]uint64{}, 0, nonces) // no hash is that small
			return nonces
		}, func() int {
			sha256.Sum256(make([]byte, text))
			return text / sha256.BlockSize
		})
		r.rate("hash", "search of a nonce, "+count(cores, "core"), "MH/s", hashes/1e6,
			"crypto/sha256, two blocks a nonce", blocks/2/1e6)
	}
	return nil
}

// signatures: what the rules of the chain take, beside the library alone.
func (r *run) signatures() error {
	rates, err := r.signatureRates()
	if err != nil {
		return err
	}
	r.rate("signatures", "signatures verified, all cores", "/s", rates.rules, "the library alone, batches of 1,024", rates.library)
	return nil
}

// signatureRates are signatures in a second on all cores.
type signatureRates struct{ rules, library float64 }

// measureSignatures checks a batch with distinct keys, as large as the rules make
// them.
func (r *run) measureSignatures() (signatureRates, error) {
	crowd := chaintest.NewCrowd(1024)
	batch := crowd.Next().Transfers[:1024]
	var failed atomic.Bool
	rules, library := r.beside("signatures", runtime.GOMAXPROCS(0), func() int {
		if crowd.Rules.VerifySignatures(batch, nil) != nil {
			failed.Store(true)
		}
		return len(batch)
	}, func() int {
		verifier := ed25519.NewBatchVerifierWithCapacity(len(batch))
		for i := range batch {
			t := &batch[i]
			verifier.AddWithOptions(ed25519.PublicKey(t.Sender), crowd.Rules.SigningMessage(nil, t), t.Signature[:],
				&ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215})
		}
		if !verifier.VerifyBatchOnly(nil) {
			failed.Store(true)
		}
		return len(batch)
	})
	if failed.Load() {
		return signatureRates{}, errors.New("a signature that was made here is not valid")
	}
	return signatureRates{rules, library}, nil
}

// disk: how long it takes until a few bytes are on the disk to stay.
func (r *run) disk() error {
	d, err := r.syncTime()
	if err != nil {
		return err
	}
	r.plain("disk", "fdatasync of 4 KiB, p50", "ms", milliseconds(d.p50))
	r.plain("disk", "fdatasync of 4 KiB, p99", "ms", milliseconds(d.p99))
	return nil
}

// measureSync writes as the database writes its log: over zeros that are on disk.
func (r *run) measureSync() (latency, error) {
	f, err := r.zeros()
	if err != nil {
		return latency{}, err
	}
	defer f.Close()
	var all []time.Duration
	page := make([]byte, pageSize)
	for start := time.Now(); time.Since(start) < r.burst; {
		r.progress("disk", int(time.Since(start)), int(r.burst))
		before := time.Now()
		if _, err := f.WriteAt(page, int64(len(all)%zeroPages)*pageSize); err != nil {
			return latency{}, err
		}
		if err := f.SyncData(); err != nil {
			return latency{}, err
		}
		all = append(all, time.Since(before))
	}
	return summary(all), nil
}

const pageSize, zeroPages = 4 << 10, 4 << 10

// zeros makes a file of zeroPages that are on disk.
func (r *run) zeros() (vfs.File, error) {
	f, err := vfs.Default.Create(filepath.Join(r.dir, "zeros"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(make([]byte, pageSize*zeroPages))
	if err = errors.Join(err, f.Sync()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// measureDurable is what an HTTP server can do that does nothing but put what it is
// sent on disk before it answers.
func (r *run) measureDurable() (map[int]load, error) {
	f, err := r.zeros()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log := &sharedLog{file: f, next: newPart()}
	loads := make(map[int]load)
	err = withServer(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, log.add(body)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, submitted)
	}, func(address string) (err error) {
		for _, c := range connections {
			if loads[c], err = r.press("bare server", address, c, request(http.MethodPost, address, "/create-transaction", newTransaction)); err != nil {
				return err
			}
		}
		return nil
	})
	return loads, err
}

// sharedLog is a file to which many write: those who come while the disk is at work
// share its next turn.
type sharedLog struct {
	file vfs.File
	disk sync.Mutex // held while it is at work
	at   int64

	mu   sync.Mutex
	next *part
}

// part is what is written in one turn.
type part struct {
	bytes []byte
	begun bool          // somebody is to write it
	done  chan struct{} // closed when it is on disk, or err says why not
	err   error
}

func newPart() *part { return &part{done: make(chan struct{})} }

// add returns when b is on disk.
func (l *sharedLog) add(b []byte) error {
	l.mu.Lock()
	p := l.next
	first := !p.begun
	p.begun = true
	p.bytes = append(p.bytes, b...)
	l.mu.Unlock()
	if !first { // who does the work
		<-p.done
		return p.err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	l.next = newPart()
	l.mu.Unlock()
	if l.at+int64(len(p.bytes)) > pageSize*zeroPages {
		l.at = 0
	}
	_, err := l.file.WriteAt(p.bytes, l.at)
	l.at += int64(len(p.bytes))
	p.err = errors.Join(err, l.file.SyncData())
	close(p.done)
	return p.err
}
