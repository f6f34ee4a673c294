package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/rogpeppe/go-internal/testscript"

	"cairn/api/client"
	"cairn/internal/testutil"
)

// binary is the path of the real thing, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cairn-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = testutil.Build(dir, "-ldflags", "-X main.stamped=v0.0.0-test")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestScripts types what users type. Besides the usual commands the scripts have
//
//	port NAME...  gives each variable a free port
//	ready PORT    waits until the node there answers
//	pool PORT N   waits until N transfers wait at the node there
//	height PORT N  waits until the chain of the node there has that height
//	cheap DIR FILE  makes the wallet in DIR, whose passphrase is in FILE, fast to unlock
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"port":   setPorts,
			"ready":  waitReady,
			"pool":   waitPool,
			"height": waitHeight,
			"cheap":  makeCheap,
		},
		Setup: func(e *testscript.Env) error {
			for _, dir := range []string{"data", "config"} {
				if err := os.Mkdir(filepath.Join(e.WorkDir, dir), 0o777); err != nil {
					return err
				}
			}
			e.Vars = append(e.Vars,
				"CAIRN_P2P=off",
				"HOME="+e.WorkDir,
				"XDG_DATA_HOME="+filepath.Join(e.WorkDir, "data"),
				"XDG_CONFIG_HOME="+filepath.Join(e.WorkDir, "config"),
				"LocalAppData="+filepath.Join(e.WorkDir, "data"),
				"AppData="+filepath.Join(e.WorkDir, "config"),
				"PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
	})
}

func setPorts(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		port, err := testutil.FreePort()
		ts.Check(err)
		ts.Setenv(name, fmt.Sprint(port))
	}
}

func waitReady(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ready PORT")
	}
	ts.Check(testutil.WaitReady("http://127.0.0.1:"+args[0], nil, time.Minute))
}

func waitPool(ts *testscript.TestScript, _ bool, args []string) {
	waitStatus(ts, "pool", args, func(s client.Status) int { return s.Pool.Transfers })
}

func waitHeight(ts *testscript.TestScript, _ bool, args []string) {
	waitStatus(ts, "height", args, func(s client.Status) int { return int(s.Height) })
}

// waitStatus waits until a number in a node's status is what is wanted.
func waitStatus(ts *testscript.TestScript, command string, args []string, number func(client.Status) int) {
	if len(args) != 2 {
		ts.Fatalf("usage: %s PORT N", command)
	}
	c, err := client.New("http://127.0.0.1:"+args[0], client.Options{})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	last := -1
	for ctx.Err() == nil {
		status, err := c.Status(ctx)
		ts.Check(err)
		if last = number(status); fmt.Sprint(last) == args[1] {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s %s: it stayed at %d", command, args[1], last)
}

// makeCheap encrypts the words as "age -p" would with the least work: what a test
// pays for each time it unlocks is of no use to it.
func makeCheap(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: cheap DIR FILE")
	}
	path, passphrase := filepath.Join(ts.MkAbs(args[0]), "secret.age"), strings.TrimSpace(ts.ReadFile(args[1]))
	identity, err := age.NewScryptIdentity(passphrase)
	ts.Check(err)
	plain, err := age.Decrypt(armor.NewReader(strings.NewReader(ts.ReadFile(path))), identity)
	ts.Check(err)
	words, err := io.ReadAll(plain)
	ts.Check(err)
	recipient, err := age.NewScryptRecipient(passphrase)
	ts.Check(err)
	recipient.SetWorkFactor(4)
	var b bytes.Buffer
	armored := armor.NewWriter(&b)
	sealed, err := age.Encrypt(armored, recipient)
	ts.Check(err)
	_, err = sealed.Write(words)
	ts.Check(errors.Join(err, sealed.Close(), armored.Close()))
	ts.Check(os.WriteFile(path, b.Bytes(), 0o600))
}
