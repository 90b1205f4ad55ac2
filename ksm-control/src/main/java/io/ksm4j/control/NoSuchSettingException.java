package io.ksm4j.control;

/** Thrown when this kernel does not have a setting, or a container hides it. */
public final class NoSuchSettingException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    NoSuchSettingException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
