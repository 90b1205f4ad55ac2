// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.KsmBackend;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Finds the cause of a failed call. One errno has several causes, so we check what is mapped, how many mappings there
 * are, which limits apply, and whether the kernel has KSM at all.
 *
 * <p>Finding a cause may block, so the caller owns no region. It must not load classes: see {@link ClassPreloader}.
 */
final class FailureCauses {

    private final KsmBackend backend;
    private final ProcSelf proc;

    FailureCauses(KsmBackend backend, ProcSelf proc) {
        this.backend = backend;
        this.proc = proc;
    }

    /** {@return the exception that names the cause} */
    KsmException explain(FailedCall call) {
        try {
            return switch (call.errno()) {
                case Linux.EINVAL -> explainInvalid(call);
                case Linux.ENOMEM, Linux.EAGAIN -> explainNoMemory(call);
                case Linux.EPERM, Linux.EACCES ->
                    new KsmPermissionException(
                            call,
                            "this process may not do that: a seccomp filter or another security policy forbids it");
                case Linux.ENOSYS ->
                    new KsmUnsupportedException(
                            call, "the kernel does not have this system call, or a seccomp filter hides it");
                default -> new KsmException(call, "the cause is none of those that ksm4j knows");
            };
        } catch (UncheckedIOException e) {
            KsmException unexplained = new KsmException(call, "the cause could not be found: " + e.getMessage());
            unexplained.addSuppressed(e);
            return unexplained;
        }
    }

    private KsmException explainInvalid(FailedCall call) {
        boolean isAboutMerging = call.kind() == FailedCall.Kind.MARK || call.kind() == FailedCall.Kind.UNMARK;
        if (isAboutMerging && tryMergeable(backend) == -Linux.EINVAL) {
            return new KsmUnsupportedException(
                    call,
                    "the kernel was built without KSM: use a kernel with CONFIG_KSM=y, or Ksm.systemOrFallback()");
        }
        return call.rangeOrNull() == null
                ? new KsmException(call, "the kernel refused the arguments")
                : new InvalidRangeException(call, "no mapping of this process can lie there");
    }

    private KsmException explainNoMemory(FailedCall call) {
        if (backend instanceof FallbackBackend fallback && fallback.isDirect()) {
            return new ResourceUnavailableException(
                    call,
                    "without a native backend, regions are direct buffers, and no direct memory is left: close regions,"
                            + " or raise -XX:MaxDirectMemorySize");
        }
        KsmException cause = unmapped(call);
        if (cause == null) {
            cause = tooManyMappings(call);
        }
        if (cause == null) {
            cause = new MemoryLimits(proc).exceededBy(call);
        }
        return cause != null
                ? cause
                : new ResourceUnavailableException(
                        call,
                        "memory is short: check the free memory of the machine and the limits of the process and its"
                                + " cgroup");
    }

    private @Nullable KsmException unmapped(FailedCall call) {
        AddressRange range = call.rangeOrNull();
        if (range == null || call.errno() != Linux.ENOMEM) {
            return null;
        }
        List<AddressRange> gaps = proc.gaps(range);
        if (gaps.isEmpty()) {
            return null;
        }
        boolean isOptedIn = backend.prctl(Linux.PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1;
        return new UnmappedRangeException(call, gaps, range, isOptedIn);
    }

    private @Nullable KsmException tooManyMappings(FailedCall call) {
        OptionalLong limit = proc.maxMapCount();
        long count = proc.mappingCount();
        // Marking a part of a mapping splits it into up to three, so it fails even when one or two more would fit.
        return limit.isPresent() && count + 2 > limit.getAsLong()
                ? new MapCountExceededException(call, count, limit.getAsLong())
                : null;
    }

    /**
     * Tries {@code MADV_MERGEABLE} on a page of our own, to find out whether the kernel accepts it at all.
     *
     * @return 0, or a negative errno
     */
    static int tryMergeable(KsmBackend backend) {
        long length = backend.pageSize();
        long page = backend.mmap(length, Linux.PROT_READ | Linux.PROT_WRITE, Linux.MAP_PRIVATE | Linux.MAP_ANONYMOUS);
        if (Linux.failed(page)) {
            return (int) page;
        }
        try {
            return backend.madvise(page, length, Linux.MADV_MERGEABLE);
        } finally {
            backend.munmap(page, length);
        }
    }
}
