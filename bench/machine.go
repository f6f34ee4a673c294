package bench

import (
	"crypto/sha256"
	"errors"
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
	const size, pages = 4 << 10, 4 << 10
	f, err := vfs.Default.Create(filepath.Join(r.dir, "sync"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return latency{}, err
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, size*pages)); err != nil {
		return latency{}, err
	}
	if err := f.Sync(); err != nil {
		return latency{}, err
	}
	var all []time.Duration
	page := make([]byte, size)
	for start := time.Now(); time.Since(start) < r.burst; {
		r.progress("disk", int(time.Since(start)), int(r.burst))
		before := time.Now()
		if _, err := f.WriteAt(page, int64(len(all)%pages)*size); err != nil {
			return latency{}, err
		}
		if err := f.SyncData(); err != nil {
			return latency{}, err
		}
		all = append(all, time.Since(before))
	}
	return summary(all), nil
}
