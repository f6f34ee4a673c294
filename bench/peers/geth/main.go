// Command geth measures go-ethereum's import of blocks, as the peer of "cairn
// bench import": full blocks of signed transfers, decoded, their senders
// recovered, executed, with state root, and stored by Pebble on disk.
//
// The blocks are decoded anew each time, so that no sender is known from before.
// go-ethereum's own BenchmarkInsertChain_* inserts the very transactions that it
// made, whose senders are known, and so recovers no key.
package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"flag"
	"log"
	"math/big"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/pebble"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
)

// perBlock is how many transfers 30 million gas are enough for, nearly.
const perBlock = 1400

var (
	accounts = flag.Int("accounts", 100_000, "accounts, which pay each other in turn")
	blocks   = flag.Int("blocks", 60, "full blocks")
	repeats  = flag.Int("repeats", 3, "imports, of which the median counts")
	dir      = flag.String("dir", "", "directory on the disk to measure")
)

func main() {
	flag.Parse()
	genesis, encoded := chain()
	var elapsed, cpu []float64
	for range *repeats {
		e, c := insert(genesis, encoded)
		elapsed, cpu = append(elapsed, e), append(cpu, c)
	}
	transfers := float64(*blocks * perBlock)
	must(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"transfers_per_second":      transfers / median(elapsed),
		"transfers_per_core_second": transfers / median(cpu),
	}))
}

func chain() (*core.Genesis, [][]byte) {
	keys := make([]*ecdsa.PrivateKey, *accounts)
	addrs := make([]common.Address, *accounts)
	alloc := types.GenesisAlloc{}
	for i := range keys {
		var err error
		keys[i], err = crypto.ToECDSA(common.LeftPadBytes(big.NewInt(int64(i+1)).Bytes(), 32))
		must(err)
		addrs[i] = crypto.PubkeyToAddress(keys[i].PublicKey)
		alloc[addrs[i]] = types.Account{Balance: new(big.Int).Lsh(big.NewInt(1), 100)}
	}
	g := &core.Genesis{Config: params.TestChainConfig, Alloc: alloc, GasLimit: 30_000_000}
	n := 0
	_, made, _ := core.GenerateChainWithGenesis(g, ethash.NewFaker(), *blocks, func(_ int, b *core.BlockGen) {
		for range perBlock {
			from, to := n%*accounts, (n*7+1)%*accounts // as cairn's do
			tx, err := types.SignNewTx(keys[from], b.Signer(), &types.LegacyTx{
				Nonce: b.TxNonce(addrs[from]), To: &addrs[to], Value: big.NewInt(1), Gas: params.TxGas, GasPrice: b.BaseFee(),
			})
			must(err)
			b.AddTx(tx)
			n++
		}
	})
	var encoded [][]byte
	for _, b := range made {
		e, err := rlp.EncodeToBytes(b)
		must(err)
		encoded = append(encoded, e)
	}
	return g, encoded
}

// insert returns the seconds that one import took, and those of processor time.
func insert(g *core.Genesis, encoded [][]byte) (elapsed, cpu float64) {
	data, err := os.MkdirTemp(*dir, "geth-")
	must(err)
	defer os.RemoveAll(data)
	p, err := pebble.New(data, 128, 128, "", false)
	must(err)
	db := rawdb.NewDatabase(p)
	defer db.Close()
	bc, err := core.NewBlockChain(db, g, ethash.NewFaker(), nil)
	must(err)
	defer bc.Stop()
	start, before := time.Now(), processorTime()
	var run []*types.Block
	for _, e := range encoded {
		b := new(types.Block)
		must(rlp.DecodeBytes(e, b))
		run = append(run, b)
	}
	_, err = bc.InsertChain(run)
	must(err)
	return time.Since(start).Seconds(), processorTime() - before
}

func processorTime() float64 {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
