package io.ksm4j.tools.run;

import io.ksm4j.Ksm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.BackendSearch;
import io.ksm4j.tools.linux.ProcessStatus;
import java.io.IOException;
import java.nio.file.Path;

/** A program whose first thread has ended, as {@code pthread_exit} in {@code main} has it. It runs until its standard input ends. */
final class FirstThreadEnds {

    private static final int SYS_EXIT = SystemCall.AARCH64 ? 93 : 60;

    private FirstThreadEnds() {}

    public static void main(String[] arguments) throws IOException, InterruptedException {
        KsmBackend backend = BackendSearch.find().require();
        Ksm.with(backend).process().markMergeable();
        SystemCall first = FirstThread.open(backend).orElseThrow();
        Thread caller = new Thread(() -> first.call(SYS_EXIT, 0, 0, 0));
        caller.setDaemon(true);
        caller.start();
        while (!ProcessStatus.read(Path.of("/proc/self")).hasEnded()) {
            Thread.onSpinWait();
        }
        System.out.println("ended");
        System.exit(System.in.read() == -1 ? 0 : 1);
    }
}
