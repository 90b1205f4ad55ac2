package io.ksm4j.tools.run;

/** Calls the kernel, from some thread. */
@FunctionalInterface
interface SystemCall {

    boolean AARCH64 = System.getProperty("os.arch").equals("aarch64");
    boolean AMD64 = System.getProperty("os.arch").equals("amd64");

    /** What the kernel returns: an errno is negative. */
    long call(long number, long arg1, long arg2, long arg3);
}
