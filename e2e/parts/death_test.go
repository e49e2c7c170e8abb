package parts_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// parent makes a copy of this test binary start parts and wait to be killed.
const parent = "PARTS_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parent); dir != "" {
		if err := startAndWait(dir); err != nil {
			fmt.Println("failed:", err)
		}
		return
	}
	os.Exit(m.Run())
}

// startAndWait prints the process ids of what it has started.
func startAndWait(dir string) error {
	ctx := context.Background()
	for _, name := range []string{"homeserver", "broker"} {
		if err := os.Mkdir(dir+"/"+name, 0o700); err != nil {
			return err
		}
	}
	hs, err := parts.StartDendrite(ctx, parts.HomeserverConfig{Dir: dir + "/homeserver"})
	if err != nil {
		return err
	}
	broker, err := parts.StartRabbitMQ(ctx, dir+"/broker")
	if err != nil {
		return err
	}
	fmt.Println("started", hs.PID(), broker.PID())
	select {}
}

func TestPartsDieWithAKilledTestBinary(t *testing.T) {
	t.Parallel()
	self := exec.CommandContext(patience(t), os.Args[0])
	self.Env = append(os.Environ(), parent+"="+t.TempDir())
	out, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pids := strings.Fields(strings.TrimPrefix(line, "started"))
	if err != nil || len(pids) != 2 {
		_ = self.Process.Kill()
		t.Fatalf("the parent says %q, %v", line, err)
	}
	if err := self.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait() // it was killed
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx := patience(t); ; {
		alive := 0
		for _, pid := range pids {
			if running(pid) {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %v outlived the process that started them", alive, pids)
		}
	}
}

// running reports whether a process is there and not a zombie (proc(5)).
func running(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
