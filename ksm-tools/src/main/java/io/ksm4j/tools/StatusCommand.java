package io.ksm4j.tools;

import io.ksm4j.stats.KsmStats;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code ksm status}: what merging saves and costs now. */
@Command(
        name = "status",
        mixinStandardHelpOptions = true,
        description = "Shows what merging saves and costs on this machine, and in which processes.")
final class StatusCommand implements Callable<Integer> {

    @Override
    public Integer call() {
        KsmStats machine = KsmStats.read();
        System.out.println("saved " + ByteCount.text(machine.savedBytes()));
        for (ProcessInfo process : Processes.read().known()) {
            System.out.println(process.pid() + " " + process.name());
        }
        return KsmCommand.DONE;
    }
}
