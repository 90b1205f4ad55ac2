// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.spi.KsmBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ErrnoOnVirtualThreadsTest {

    private static final KsmBackend BACKEND = new FfmBackendProvider().open();
    private static final long PAGE = BACKEND.pageSize();
    private static final int THREADS = 4000;
    private static final int ROUNDS = 20;

    private static final int EBADF = 9;
    private static final int ENOMEM = 12;
    private static final int EINVAL = 22;
    private static final int ENOSYS = 38;

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void everyThreadGetsItsOwnErrno(boolean virtual) throws Exception {
        ThreadFactory threads =
                virtual ? Thread.ofVirtual().factory() : Thread.ofPlatform().factory();
        List<Future<List<Long>>> answers = new ArrayList<>();
        try (ExecutorService executor = Executors.newThreadPerTaskExecutor(threads)) {
            for (int thread = 0; thread < (virtual ? THREADS : 40); thread++) {
                int kind = thread % 4;
                answers.add(executor.submit(() -> answersTo(kind)));
            }
        }
        List<Long> errnos = List.of((long) -EINVAL, (long) -ENOSYS, (long) -ENOMEM, (long) -EBADF);
        for (int thread = 0; thread < answers.size(); thread++) {
            assertThat(answers.get(thread).get()).hasSize(ROUNDS).containsOnly(errnos.get(thread % 4));
        }
    }

    private static List<Long> answersTo(int kind) {
        List<Long> answers = new ArrayList<>();
        for (int round = 0; round < ROUNDS; round++) {
            answers.add(failingCall(kind));
            LockSupport.parkNanos(1);
        }
        return answers;
    }

    private static long failingCall(int kind) {
        return switch (kind) {
            case 0 -> BACKEND.madvise(1, PAGE, 12);
            case 1 -> BACKEND.syscall(-1, 0, 0, 0, 0, 0);
            case 2 -> BACKEND.mmap(1L << 61, 0, 0x22);
            default -> BACKEND.syscall(440, -1, 0, 0, 12, 0);
        };
    }
}
